//! The bigger spaces of the model checker: `cargo bench -p claude-exec-afk --bench model`.
//!
//! Takes many minutes and some GB of memory. With `--test`, which asks only whether it runs, it walks a small one.

#![expect(dead_code, reason = "the tests use more of these files than this")]
#![expect(clippy::unwrap_used, reason = "names that are written here")]

#[path = "../tests/model/controller.rs"]
mod controller;
#[path = "../tests/model/deed.rs"]
mod deed;
#[path = "../tests/model/drain.rs"]
mod drain;
#[path = "../tests/model/model.rs"]
mod model;
#[path = "../tests/model/mutation.rs"]
mod mutation;
#[path = "../tests/model/names.rs"]
mod names;
#[path = "../tests/model/safety.rs"]
mod safety;
#[path = "../tests/model/sight.rs"]
mod sight;
#[path = "../tests/model/spaces.rs"]
mod spaces;
#[path = "../tests/model/world.rs"]
mod world;

use model::Afk;
use spaces::{apart, check, come_to_rest};
use world::Faults;

fn main() {
    if std::env::args().any(|arg| arg == "--test") {
        come_to_rest("two issues, no fault", &Afk::new(Faults::any(0)));
        return;
    }
    come_to_rest("two issues, any two faults", &Afk::new(Faults::any(2)));
    come_to_rest("two deployments, any one fault", &apart(Faults::any(1)));
    let mut model = Afk::new(Faults::any(1));
    model.acks_apart = true;
    come_to_rest("two issues, any one fault, acknowledged apart", &model);
    check("two issues, all five faults", Afk::new(Faults::any(5)));
}
