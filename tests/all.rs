//! The one integration binary.

mod support;

mod suite {
    mod afk;
    mod afk_agent;
    mod afk_loop;
    mod async_openai;
    mod brain;
    mod breakglass;
    mod breakglass_page;
    mod cli_facts;
    mod clients;
    mod conversational;
    mod execute;
    mod fake_claude;
    mod isolation;
    mod key_limits;
    mod layering;
    mod live;
    mod metrics;
    mod model_api;
    mod openai_python;
    mod openai_surface;
    mod openapi;
    mod original_faults;
    mod pool;
    mod power;
    mod processes;
    mod recordings;
    mod stalled;
    mod startup;
    mod tools;
    mod turn;
    mod upstream;
    mod verbatim;
    mod warm;
}
