//! The one integration binary.

mod support;

mod suite {
    mod model_api;
}
