//! pushflow.
