// SPDX-License-Identifier: MIT OR Apache-2.0
//! One section of a Quadlet unit in JSON: directives in the order in which they were sent, since
//! that is the order in which they are rendered. What a directive may say is the model's business.

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Most directives of a section.
const MAX_DIRECTIVES: usize = 1024;

/// Directives and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section(pub Vec<(String, SectionValue)>);

/// The value of a directive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum SectionValue {
    /// The directive once.
    Once(SectionScalar),
    /// The directive several times.
    Several(Vec<SectionScalar>),
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum SectionScalar {
    /// `true`, `false`.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Directives)
    }
}

struct Directives;

impl<'de> Visitor<'de> for Directives {
    type Value = Section;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of directives")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Section, A::Error> {
        let mut directives: Vec<(String, SectionValue)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if directives.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("{name} stands there twice")));
            }
            if directives.len() >= MAX_DIRECTIVES {
                return Err(A::Error::custom("too many directives"));
            }
            directives.push((name, map.next_value()?));
        }
        Ok(Section(directives))
    }
}

#[cfg(feature = "server")]
impl utoipa::PartialSchema for Section {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .description(Some("Directives of the section, in the order in which they are rendered"))
            .additional_properties(Some(utoipa::openapi::Ref::from_schema_name("SectionValue")))
            .into()
    }
}

#[cfg(feature = "server")]
impl utoipa::ToSchema for Section {
    fn schemas(
        schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>,
    ) {
        use utoipa::{PartialSchema, ToSchema};
        schemas.push((SectionValue::name().to_string(), SectionValue::schema()));
        <SectionValue as ToSchema>::schemas(schemas);
    }
}
