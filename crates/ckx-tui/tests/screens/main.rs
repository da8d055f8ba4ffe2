//! The whole application on a screen in memory: keys go in, real jobs run, pictures come out.

mod driver;
mod frame;
mod hostile;
mod opening;
mod views;
