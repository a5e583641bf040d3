//! What the package brings to an OpenWrt router: init script, validation, rules for firewall4, ubus.

#[path = "../files/mod.rs"]
mod files;
#[path = "../harness/mod.rs"]
mod harness;

mod bad_input;
mod firewall;
mod init;
mod jail;
mod router;
mod style;
mod ubus;
mod validation;

/// A configuration in the form of `uci export`, for proxy 1: `options` of the main section, and further
/// `sections`.
fn config(options: &str, sections: &str) -> String {
    format!(
        "package srv6pipes\n\nconfig srv6pipes 'main'\n\toption enabled '1'\n\t{options}\n\n\
         config locator 'home'\n\toption prefix 'fd00:99:1::/80'\n\tlist device 'to-c'\n\n{sections}"
    )
}

/// The section of a function out of the stock module `libNAME.so`, with more `options`.
fn function(id: u16, name: &str, options: &str) -> String {
    format!(
        "config function\n\toption id '{id}'\n\toption module 'lib{name}.so'\n\
         \toption name '{name}'\n\t{options}\n\n"
    )
}
