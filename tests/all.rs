//! The one integration binary.

mod support;

mod suite {
    mod cli_facts;
    mod fake_claude;
    mod layering;
    mod model_api;
    mod recordings;
    mod turn;
}
