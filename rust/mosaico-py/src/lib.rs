//! The Python binding: converts between Python objects and the Rust core, and waits. Nothing else.
//!
//! Seen from Python as `mosaicolabs._native`; its stub file is `python/mosaicolabs/_native.pyi`.

use pyo3::prelude::*;

mod appender;
mod batches;
mod client;
mod daemon;
mod decode;
mod decode_plan;
mod embedded;
mod encode;
mod envelope;
mod errors;
mod fields;
mod keep_alive;
mod lane;
mod live;
mod message_iterator;
mod runtime;
mod stream;

/// The native core of `mosaicolabs`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<appender::PyAppender>()?;
    module.add_class::<batches::PyBatches>()?;
    module.add_class::<client::PyClient>()?;
    module.add_class::<keep_alive::PyKeepAlive>()?;
    module.add_class::<lane::PyLane>()?;
    module.add_class::<lane::PyLaneBudget>()?;
    module.add_class::<message_iterator::PyMessageIterator>()?;
    module.add_class::<stream::PyStream>()?;
    module.add_function(wrap_pyfunction!(daemon::run_daemon, module)?)?;
    module.add_function(wrap_pyfunction!(runtime::after_fork_in_child, module)?)?;
    module.add_function(wrap_pyfunction!(runtime::finish_within, module)?)?;
    Ok(())
}
