// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the descriptions of the signed routes have in common: their headers and their answers.
//! Each type stands in the `params` or the `responses` of a route.

use super::ErrorBody;
use super::routes_config::SubmittedBody;
use crate::protocol::CONFIRM_SECS;
use std::collections::BTreeMap;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema};

/// The headers of a signed request without a body.
pub(super) struct Signed;

/// The time that an operator wants to have for his confirmation.
pub(super) struct ConfirmWithin;

/// The headers of a request that removes something.
pub(super) struct SignedRemoval;

/// The headers of a request that changes something by its body.
pub(super) struct SignedChange;

/// What it is answered.
pub(super) struct RemovalAnswers;

/// What it is answered.
pub(super) struct ChangeAnswers;

fn header(name: &str, required: Required, about: &str) -> Parameter {
    let kind = match required {
        Required::True => SchemaType::Type(Type::String),
        Required::False => SchemaType::from_iter([Type::String, Type::Null]),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(about))
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .build()
}

impl IntoParams for Signed {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            header("x-atomixos-nonce", Required::True, "From /api/nonce"),
            header("x-atomixos-signature", Required::True, "Armored, in base64"),
        ]
    }
}

impl IntoParams for ConfirmWithin {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let seconds = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .minimum(Some(*CONFIRM_SECS.start()))
            .maximum(Some(*CONFIRM_SECS.end()));
        let parameter = ParameterBuilder::new()
            .name("confirm_within")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some("Go back unless the job is confirmed within so many seconds"))
            .schema(Some(seconds));
        vec![parameter.build()]
    }
}

impl IntoParams for SignedRemoval {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let only_if = header("if-match", Required::False, "Only if this is in force");
        let confirm = ConfirmWithin::into_params(&place);
        confirm.into_iter().chain([only_if]).chain(Signed::into_params(place)).collect()
    }
}

impl IntoParams for SignedChange {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let digest = header("x-atomixos-sha256", Required::True, "The body's SHA-256");
        SignedRemoval::into_params(place).into_iter().chain([digest]).collect()
    }
}

fn json<T: ToSchema>() -> ResponseBuilder {
    let schema = Ref::from_schema_name(T::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().content("application/json", content)
}

/// A job, or one of these errors. What each means is told by `description`.
fn job_or(errors: &[&str]) -> BTreeMap<String, RefOr<Response>> {
    let accepted = json::<SubmittedBody>().header("location", Header::new(String::schema()));
    let error = |status: &&str| ((*status).to_owned(), json::<ErrorBody>().build().into());
    let mut answers: BTreeMap<_, _> = errors.iter().map(error).collect();
    answers.insert("202".to_owned(), accepted.build().into());
    answers
}

impl IntoResponses for RemovalAnswers {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        job_or(&["400", "401", "403", "404", "409", "412", "422", "500", "503"])
    }
}

impl IntoResponses for ChangeAnswers {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        job_or(&[
            "400", "401", "403", "408", "409", "411", "412", "413", "415", "422", "500", "503",
        ])
    }
}
