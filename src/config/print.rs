//! A [`Config`] as UCI: every option written out, each value in one spelling. What is printed
//! reads back as the same configuration.

use std::fmt::{self, Display, Formatter};

use crate::config::model::{Config, Function, Locator, Main, Policy, ReturnPath};
use crate::config::schema::{self, Spec};

impl Display for Config {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.main.fmt(f)?;
        let Self {
            main: _,
            locators,
            functions,
            policies,
            returns,
            numbers: _,
        } = self;
        locators
            .iter()
            .try_for_each(|locator| write!(f, "\n{locator}"))?;
        functions
            .iter()
            .try_for_each(|function| write!(f, "\n{function}"))?;
        policies
            .iter()
            .try_for_each(|policy| write!(f, "\n{policy}"))?;
        returns.iter().try_for_each(|path| write!(f, "\n{path}"))
    }
}

impl Display for Main {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "config srv6pipes 'main'")?;
        line(f, &schema::ENABLED, u8::from(self.enabled))?;
        line(f, &schema::THREADS, self.threads)?;
        line(f, &schema::CAPTURE, self.capture)?;
        line(f, &schema::MODULE_DIR, self.module_dir.display())?;
        line(f, &schema::CONTROL_SOCKET, self.control_socket.display())?;
        line(f, &schema::MAX_FLOWS, self.max_flows)?;
        line(f, &schema::IDLE_TIMEOUT, self.idle_timeout.as_secs())?;
        line(f, &schema::CONNECT_TIMEOUT, self.connect_timeout.as_secs())?;
        line(f, &schema::TUNING, u8::from(self.tuning))?;
        line(f, &schema::PORT, self.port)?;
        line(f, &schema::QUEUE, self.queue)?;
        line(f, &schema::MARK, self.mark)?;
        line(f, &schema::ROUTING_TABLE, self.table)?;
        line(f, &schema::PREFERENCE, self.preference)
    }
}

impl Display for Locator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        head(f, "locator", &self.name)?;
        line(f, &schema::PREFIX, self.prefix)?;
        lines(f, &schema::LOCATOR_DEVICE, &self.devices)?;
        lines(f, &schema::SOURCE, &self.sources)?;
        line(f, &schema::ON_FAILURE, self.on_failure)
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "config function")?;
        line(f, &schema::ID, self.id)?;
        line(f, &schema::MODULE, self.module.display())?;
        line(f, &schema::NAME, &self.name)?;
        line(f, &schema::FUNCTION_ON_FAILURE, self.on_failure)?;
        for option in &self.options {
            // A name that comes several times was a list, and so was an empty value.
            writeln!(f, "\tlist {} '{}'", option.key, Quoted(&option.value))?;
        }
        Ok(())
    }
}

impl Display for Policy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        head(f, "policy", &self.name)?;
        lines(f, &schema::POLICY_DEVICE, &self.devices)?;
        lines(f, &schema::DEST, &self.dests)?;
        lines(f, &schema::POLICY_PORT, &self.ports)?;
        lines(f, &schema::SEGMENT, &self.segments)?;
        line(f, &schema::MTU, self.mtu)
    }
}

impl Display for ReturnPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "config return")?;
        line(f, &schema::RETURN_DEVICE, &self.device)?;
        line(f, &schema::GATEWAY, self.gateway)
    }
}

/// A name with a blank is the number that we gave.
fn head(f: &mut Formatter<'_>, kind: &str, name: &str) -> fmt::Result {
    if name.contains(' ') {
        writeln!(f, "config {kind}")
    } else {
        writeln!(f, "config {kind} '{name}'")
    }
}

fn lines<T: Display>(f: &mut Formatter<'_>, spec: &Spec, values: &[T]) -> fmt::Result {
    values.iter().try_for_each(|value| line(f, spec, value))
}

fn line(f: &mut Formatter<'_>, spec: &Spec, value: impl Display) -> fmt::Result {
    let value = value.to_string();
    writeln!(f, "\t{} {} '{}'", spec.command(), spec.name, Quoted(&value))
}

/// What stands between single quotes. They know no escape: each is written outside of them.
#[derive(Debug)]
pub struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('\'', r"'\''"))
    }
}
