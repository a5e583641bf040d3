//! One section against the table of options: names first, then values, each complaint with its line.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::PathBuf;

use crate::config::model::FunctionOption;
use crate::config::nearest::nearest;
use crate::config::problem::{Problem, ProblemKind};
use crate::config::schema::{Absent, SectionKind, Spec};
use crate::config::uci::{Entry, Section};
use crate::config::value::Fault;

/// A section whose values are being read. Where a value can't be had the answer is `None`, and
/// the reason stands among the problems.
#[derive(Debug)]
pub struct Fields<'a> {
    section: &'a Section,
    kind: SectionKind,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// Begins with the names: unknown ones, wrong commands, doubles.
    pub fn new(section: &'a Section, kind: SectionKind, problems: &'a mut Vec<Problem>) -> Self {
        let mut fields = Self {
            section,
            kind,
            problems,
        };
        let mut seen: HashMap<&str, &Entry> = HashMap::new();
        for entry in &section.entries {
            fields.check_name(entry);
            // uci keeps the last of two options and makes a list of an option and a list.
            match seen.insert(&entry.name, entry) {
                Some(first) if !(first.list && entry.list) => {
                    let kind = ProblemKind::OptionTwice(entry.name.clone(), first.line);
                    fields.complain(entry.line, kind);
                }
                _ => {}
            }
        }
        fields
    }

    fn check_name(&mut self, entry: &Entry) {
        match self.spec_of(entry) {
            Some(spec) if spec.list != entry.list => {
                self.complain(entry.line, ProblemKind::WrittenAs(spec));
            }
            None if self.kind != SectionKind::Function => {
                let kind = ProblemKind::UnknownOption {
                    section: self.kind,
                    name: entry.name.clone(),
                    nearest: self.misspelt(entry),
                };
                self.complain(entry.line, kind);
            }
            _ => {}
        }
    }

    /// The value of an option, or its default.
    pub fn one<T>(
        &mut self,
        spec: &'static Spec,
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let given = self.given(spec).next();
        match (given, spec.absent) {
            (Some(entry), _) => self.value(spec, entry, read),
            (None, Absent::Default(text)) => read(text).ok(),
            (None, _) => {
                self.missing(spec);
                None
            }
        }
    }

    /// The value of an option that is a number, or its default.
    pub fn number<T: TryFrom<u32>>(&mut self, spec: &'static Spec) -> Option<T> {
        self.one(spec, |text| {
            T::try_from(spec.allowed.number(text)?).map_err(|_| Fault::Form)
        })
    }

    /// The absolute path that an option gives, or its default.
    pub fn path(&mut self, spec: &'static Spec) -> Option<PathBuf> {
        self.one(spec, |text| spec.allowed.path(text))
    }

    /// The values of a list, none of them twice.
    pub fn many<T: Hash + Eq + Clone>(
        &mut self,
        spec: &'static Spec,
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let mut lines: HashMap<T, u32> = HashMap::new();
        let values = self.many_lines(spec, read)?;
        for (line, value, text) in &values {
            if let Some(first) = lines.insert(value.clone(), *line) {
                let kind = ProblemKind::ValueTwice(spec, (*text).to_owned(), first);
                self.complain(*line, kind);
            }
        }
        Some(values.into_iter().map(|(_, value, _)| value).collect())
    }

    /// The values of a list in which one may stand several times.
    pub fn any<T>(
        &mut self,
        spec: &'static Spec,
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let values = self.many_lines(spec, read)?;
        Some(values.into_iter().map(|(_, value, _)| value).collect())
    }

    /// What the table doesn't know, in file order.
    pub fn others(&self) -> Vec<FunctionOption> {
        let others = self.section.entries.iter().filter(|entry| {
            self.spec_of(entry).is_none() && (entry.list || !entry.value.is_empty())
        });
        others
            .map(|entry| FunctionOption {
                key: entry.name.clone(),
                value: entry.value.clone(),
                line: entry.line,
            })
            .collect()
    }

    /// The line of an option, or else that of the section.
    pub fn line_of(&self, spec: &'static Spec) -> u32 {
        self.given(spec)
            .next()
            .map_or(self.section.line, |entry| entry.line)
    }

    /// Adds a problem.
    pub fn complain(&mut self, line: u32, kind: ProblemKind) {
        self.problems.push(Problem { line, kind });
    }

    fn many_lines<T>(
        &mut self,
        spec: &'static Spec,
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<(u32, T, &'a str)>> {
        let given: Vec<&Entry> = self.given(spec).collect();
        if given.is_empty() && spec.absent == Absent::Refused {
            self.missing(spec);
            return None;
        }
        let mut values = Some(Vec::with_capacity(given.len()));
        for entry in given {
            match (self.value(spec, entry, &read), &mut values) {
                (Some(value), Some(values)) => values.push((entry.line, value, &*entry.value)),
                (Some(_), None) => {}
                (None, _) => values = None,
            }
        }
        values
    }

    fn value<T>(
        &mut self,
        spec: &'static Spec,
        entry: &Entry,
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        match read(&entry.value) {
            Ok(value) => Some(value),
            Err(fault) => {
                let text = entry.value.clone();
                self.complain(entry.line, ProblemKind::Value { spec, text, fault });
                None
            }
        }
    }

    /// Silent where another complaint about the section is the reason.
    fn missing(&mut self, spec: &'static Spec) {
        let is_complained_of = self.section.entries.iter().any(|entry| {
            let is_miswritten = entry.name == spec.name && entry.list != spec.list;
            is_miswritten || self.misspelt(entry) == Some(spec.name)
        });
        if !is_complained_of && !self.section.damaged {
            self.complain(self.section.line, ProblemKind::Missing(spec));
        }
    }

    /// What a name that the section doesn't know was meant to be. A function knows all names.
    fn misspelt(&self, entry: &Entry) -> Option<&'static str> {
        if self.kind == SectionKind::Function || self.spec_of(entry).is_some() {
            return None;
        }
        nearest(&entry.name, self.kind.specs().map(|spec| spec.name))
    }

    fn given(&self, spec: &'static Spec) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.section.entries.iter().filter(move |entry| {
            entry.name == spec.name
                && entry.list == spec.list
                && (entry.list || !entry.value.is_empty())
        })
    }

    fn spec_of(&self, entry: &Entry) -> Option<&'static Spec> {
        self.kind.specs().find(|spec| spec.name == entry.name)
    }
}
