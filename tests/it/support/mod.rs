//! What integration tests share: the lab's addresses, a daemon of one's own as a real process, its API,
//! and small clients that look at the mail servers from outside.

pub mod api;
pub mod cutting_proxy;
pub mod daemon;
pub mod dns;
pub mod identity_platform;
pub mod lab;
pub mod mail;
pub mod proxy;
pub mod tcp_gate;
pub mod wait;

pub use api::Api;
pub use cutting_proxy::CuttingProxy;
pub use daemon::{Daemon, Engine, binary};
pub use identity_platform::IdentityPlatform;
pub use lab::Lab;
pub use wait::eventually;
