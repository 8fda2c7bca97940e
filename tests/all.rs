//! The one integration binary.

mod support;

mod suite {
    mod fake_claude;
    mod model_api;
    mod turn;
}
