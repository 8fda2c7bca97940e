//! Who may: the checks that stand before every route.
