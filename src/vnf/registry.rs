//! From the configuration's functions to functions that can be spawned.
//!
//! A reload builds a new registry beside the old one and takes over what did not change. Flows
//! keep the function they were spawned from; it is deinitialised when its last flow is gone.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use srv6pipes_vnf::abi;

use crate::config::model::{self, FunctionFailure, FunctionOption};
use crate::vnf::active::{Active, InitError, SpawnError};
use crate::vnf::counters::NamedCounter;
use crate::vnf::loader::{self, Library};
use crate::vnf::open_error::OpenError;
use crate::vnf::route::RouteError;
use crate::vnf::{FlowInfo, Route, Routed, Transform};

/// Every configured function, ready.
#[derive(Debug, Default)]
pub struct Registry {
    functions: BTreeMap<u16, Arc<Function>>,
}

/// A configured function.
#[derive(Debug)]
pub struct Function {
    configured: model::Function,
    library: Arc<Library>,
    active: Arc<Active>,
    summary: String,
    version: String,
    passes_at_once: bool,
}

/// One reason why a `config function` section cannot be had.
#[derive(Debug)]
pub struct LoadError {
    /// Line in the configuration: of the option to blame, or of the section.
    pub line: u32,
    /// The section's `option id`.
    pub id: u16,
    /// Its `option name`.
    pub name: String,
    /// The module's file, as configured and looked up.
    pub module: PathBuf,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a section's module or function.
#[derive(Debug)]
pub enum Reason {
    /// The module cannot be loaded; shared by all sections that name it.
    Module(Arc<OpenError>),
    /// The module has no function of that name, but these.
    NoFunction(Vec<String>),
    /// The option of this name has a NUL in it.
    Nul(String),
    /// The function complains, of the option of this name or of the section.
    Complaint(Option<String>, String),
    /// `func_init` returned this number, and no more; the reason is in the log.
    Refused(i32),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line: _, // whoever knows the file puts both in front
            id,
            name,
            module,
            reason,
        } = self;
        let module = module.display();
        write!(f, "function {id:#06x} '{name}' of {module}: {reason}")
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl Error for LoadError {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(error) => error.fmt(f),
            Self::NoFunction(offered) => {
                write!(f, "the module offers only: {}", offered.join(", "))
            }
            Self::Nul(key) => write!(f, "option '{key}' has a NUL in it"),
            Self::Complaint(Some(key), text) => write!(f, "option '{key}': {text}"),
            Self::Complaint(None, text) => f.write_str(text),
            Self::Refused(code) => {
                write!(
                    f,
                    "func_init refused its options ({code}); the log says why"
                )
            }
        }
    }
}

impl Registry {
    /// Loads the modules and initialises the functions that `previous` does not have already: a
    /// module whose file did not change is not loaded again, and a function of it with the same id
    /// and options is not initialised again, unless it reads files.
    ///
    /// # Errors
    /// Everything that is wrong, sorted by line; `previous` is untouched.
    pub fn load(
        functions: &[model::Function],
        module_dir: &Path,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<LoadError>> {
        let mut modules = Modules::new(previous);
        let mut registry = Self::default();
        let mut errors = Vec::new();
        for configured in functions {
            let module = module_dir.join(&configured.module);
            let before = previous.and_then(|previous| previous.functions.get(&configured.id));
            let library = modules.open(&module);
            let library = library.map_err(|reason| vec![(configured.line, reason)]);
            match library.and_then(|library| ready(configured, library, before)) {
                Ok(function) => {
                    registry.functions.insert(configured.id, function);
                }
                Err(reasons) => {
                    errors.extend(reasons.into_iter().map(|(line, reason)| LoadError {
                        line,
                        id: configured.id,
                        name: configured.name.clone(),
                        module: module.clone(),
                        reason,
                    }));
                }
            }
        }
        errors.sort_by_key(|error| error.line);
        if errors.is_empty() {
            Ok(registry)
        } else {
            Err(errors)
        }
    }

    /// The function with these 16 bits of a SID.
    pub fn function(&self, id: u16) -> Option<Arc<Function>> {
        self.functions.get(&id).cloned()
    }

    /// All functions, by id.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }
}

impl Function {
    /// The 16 function bits of the SID.
    pub fn id(&self) -> u16 {
        self.configured.id
    }

    /// Whether this is the same function of the same file, perhaps in another version.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (self.name(), self.module()) == (other.name(), other.module())
    }

    /// Its name in the module.
    pub fn name(&self) -> &str {
        &self.configured.name
    }

    /// One line for people, from the module.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Its version, from the module.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The module's file, without symbolic links.
    pub fn module(&self) -> &Path {
        self.library.path()
    }

    /// What becomes of a flow when the function fails.
    pub fn on_failure(&self) -> FunctionFailure {
        self.configured.on_failure
    }

    /// Whether it looks at no byte and no flow: there is no need to spawn it.
    pub fn passes_at_once(&self) -> bool {
        self.passes_at_once
    }

    /// Whether [`Self::route`] is to be asked.
    pub fn routes(&self) -> bool {
        self.active.routes()
    }

    /// Lets the function choose where a flow goes, `route.attempt` as the caller counts it; to be
    /// called on the worker that carries the flow. Whoever gets `Ok` owes [`Self::routed`].
    ///
    /// # Errors
    /// When there is nowhere to go, or the function chose what cannot be; `route` is untouched.
    pub fn route(&self, flow: &FlowInfo, route: &mut Route) -> Result<(), RouteError> {
        self.active.route(flow, route)
    }

    /// Tells the function what became of its choice; on a worker.
    pub fn routed(&self, choice: u64, event: Routed) {
        self.active.routed(choice, event);
    }

    /// What the function itself counts, sorted; the same after a reload that keeps id and name.
    pub fn counters(&self) -> Vec<NamedCounter> {
        self.active.host().counters.snapshot()
    }

    /// Begins a flow; to be called on the worker that carries it.
    ///
    /// # Errors
    /// When the function refuses the flow.
    pub fn spawn(&self, flow: &FlowInfo) -> Result<Box<dyn Transform>, SpawnError> {
        Ok(Box::new(self.active.spawn(flow)?))
    }
}

/// The modules of one load: each file is opened once, and known files are not loaded again.
struct Modules {
    known: Vec<Arc<Library>>,
    opened: HashMap<PathBuf, Result<Arc<Library>, Arc<OpenError>>>,
}

impl Modules {
    fn new(previous: Option<&Registry>) -> Self {
        let known = previous.into_iter().flat_map(Registry::functions);
        Self {
            known: known.map(|f| Arc::clone(&f.library)).collect(),
            opened: HashMap::new(),
        }
    }

    fn open(&mut self, path: &Path) -> Result<Arc<Library>, Reason> {
        if !self.opened.contains_key(path) {
            let opened = self.find_or_load(path).map_err(Arc::new);
            self.opened.insert(path.to_owned(), opened.clone());
            return opened.map_err(Reason::Module);
        }
        self.opened[path].clone().map_err(Reason::Module)
    }

    fn find_or_load(&mut self, path: &Path) -> Result<Arc<Library>, OpenError> {
        // A file that is as it was is still judged: its permissions may not be.
        let found = loader::find(path)?;
        if let Some(library) = self.known.iter().find(|library| library.is(&found)) {
            return Ok(Arc::clone(library));
        }
        let library = Arc::new(Library::load(found)?);
        self.known.push(Arc::clone(&library));
        Ok(library)
    }
}

/// What is wrong with a section, each with the line to blame.
type Reasons = Vec<(u32, Reason)>;

fn ready(
    configured: &model::Function,
    library: Arc<Library>,
    before: Option<&Arc<Function>>,
) -> Result<Arc<Function>, Reasons> {
    let Some(offered) = library
        .functions()
        .iter()
        .find(|f| f.name == configured.name)
    else {
        let names = library.functions().iter().map(|f| f.name.clone()).collect();
        return Err(vec![(configured.line, Reason::NoFunction(names))]);
    };
    let closed = offered.capabilities & abi::CAP_FAILS_CLOSED != 0;
    let mut wrong = Vec::new();
    if closed && configured.on_failure == FunctionFailure::Pass {
        let text = "must be 'reset': no flow may go on without this function".to_owned();
        let complaint = Reason::Complaint(Some("on_failure".to_owned()), text);
        wrong.push((configured.line, complaint));
    }
    let before = before.filter(|before| {
        Arc::ptr_eq(&before.library, &library)
            && before.configured.name == configured.name
            && same_options(&before.configured.options, &configured.options)
            && offered.capabilities & abi::CAP_READS_FILES == 0
    });
    let active = match before {
        Some(before) => Ok(Arc::clone(&before.active)),
        None => Active::init(offered, configured).map(Arc::new),
    };
    let active = match active {
        Ok(active) if wrong.is_empty() => active,
        Ok(_) => return Err(wrong),
        Err(error) => {
            wrong.extend(reasons(configured, error));
            return Err(wrong);
        }
    };
    Ok(Arc::new(Function {
        configured: configured.clone(),
        active,
        summary: offered.summary.clone(),
        version: offered.version.clone(),
        passes_at_once: offered.capabilities & abi::CAP_PASS_AT_ONCE != 0,
        library,
    }))
}

/// Wherever they stand: a function does not know lines.
fn same_options(some: &[FunctionOption], others: &[FunctionOption]) -> bool {
    fn texts(option: &FunctionOption) -> (&str, &str) {
        (&option.key, &option.value)
    }
    some.iter().map(texts).eq(others.iter().map(texts))
}

fn reasons(configured: &model::Function, error: InitError) -> Reasons {
    let option = |index: usize| configured.options.get(index);
    let line = |index| option(index).map_or(configured.line, |option| option.line);
    let key = |index| option(index).map(|option| option.key.clone());
    match error {
        InitError::Nul(index) => {
            vec![(line(index), Reason::Nul(key(index).unwrap_or_default()))]
        }
        InitError::Complaints(complaints) => complaints
            .into_iter()
            .map(|complaint| {
                let line = complaint.option.map_or(configured.line, line);
                let key = complaint.option.and_then(key);
                (line, Reason::Complaint(key, complaint.text))
            })
            .collect(),
        InitError::Refused(code) => vec![(configured.line, Reason::Refused(code))],
    }
}
