// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pages for whoever holds a new device in his hands: paste or choose a configuration, see every
//! fault at its place, follow the change, learn where the device answers afterwards.
//!
//! A view is a pure function from values to [`maud::Markup`], which escapes whatever it is given.
//! Everything works without scripts; with them, htmx takes the same pages in pieces. The pages
//! promise nothing that the API does not: a claim from here is the claim of `POST /api/config`.

mod assets;
mod configured;
mod console;
mod excerpt;
mod fault_views;
mod job;
mod layout;
mod receive;
mod routes;
mod words;

pub(super) use routes::{is_page, refusal, routes};

#[cfg(test)]
mod tests {
    #[test]
    fn no_view_goes_past_the_escaping() {
        let views = [
            include_str!("configured.rs"),
            include_str!("console.rs"),
            include_str!("fault_views.rs"),
            include_str!("job.rs"),
            include_str!("layout.rs"),
            include_str!("routes.rs"),
            include_str!("words.rs"),
        ];
        assert!(views.iter().all(|view| !view.contains("PreEscaped")));
    }
}
