//! Records the source of each setting's value.

use std::collections::BTreeSet;

use figment::{
    Figment, Profile, Provider,
    value::{Dict, Value},
};

use super::layer::{COMMAND_LINE, ENVIRONMENT, PREFIX};

/// The sources of one configuration's values.
#[derive(Debug)]
pub struct Origins {
    layers: Figment,
    settings: Dict,
    /// The names of the environment variables.
    variables: BTreeSet<String>,
}

impl Origins {
    pub(super) fn new(layers: Figment, variables: BTreeSet<String>) -> Self {
        let settings = layers.data().unwrap_or_default().remove(&Profile::Default);
        Self {
            layers,
            settings: settings.unwrap_or_default(),
            variables,
        }
    }

    /// The name of the configuration file or of the environment variable, the command line, or `default`.
    pub fn of(&self, path: &[String]) -> String {
        let layer = self
            .value(path)
            .and_then(|value| self.layers.get_metadata(value.tag()))
            .map(|layer| layer.name.as_ref());
        match layer {
            None => "default".to_owned(),
            Some(ENVIRONMENT) => self.variable(path),
            Some(COMMAND_LINE) => COMMAND_LINE.to_owned(),
            Some(file) => format!("file {file}"),
        }
    }

    fn value(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.settings.get(first)?, |value, key| value.as_dict()?.get(key))
    }

    /// The variable that sets a setting. Names are compared without regard to case, as when they are read.
    fn variable(&self, path: &[String]) -> String {
        let own = format!("{}{}", PREFIX, path.join("__"));
        let common = path.join("__");
        let names = [
            own.clone(),
            format!("{own}_FILE"),
            common.clone(),
            format!("{common}_FILE"),
        ];
        let given = names.iter().find_map(|name| {
            let mut variables = self.variables.iter();
            variables.find(|variable| variable.eq_ignore_ascii_case(name))
        });
        given.map_or_else(|| ENVIRONMENT.to_owned(), |name| format!("environment variable {name}"))
    }
}
