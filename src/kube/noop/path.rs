/// A place in the object, as a list back to the root.
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    pub step: &'a str,
}

impl<'a> Path<'a> {
    pub const ROOT: Path<'static> = Path { parent: None, step: "" };

    pub fn then(&'a self, step: &'a str) -> Path<'a> {
        Path { parent: Some(self), step }
    }

    pub fn above(&self) -> &str {
        self.parent.map_or("", |parent| parent.step)
    }

    fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    pub fn text(&self) -> String {
        match self.parent {
            Some(parent) if parent.is_root() || self.step.starts_with('[') => format!("{}{}", parent.text(), self.step),
            Some(parent) => format!("{}.{}", parent.text(), self.step),
            None => String::new(),
        }
    }

    /// Set by the server, or identity: never in anyone's managed fields.
    pub fn is_managed_by_server(&self, field: &str) -> bool {
        match self.parent {
            None => matches!(field, "apiVersion" | "kind" | "status"),
            Some(parent) if parent.is_root() && self.step == "metadata" => matches!(
                field,
                "name"
                    | "namespace"
                    | "creationTimestamp"
                    | "managedFields"
                    | "resourceVersion"
                    | "uid"
                    | "generation"
                    | "selfLink"
            ),
            Some(_) => false,
        }
    }

    /// Only there may `1000m` and `1` be the same: elsewhere a string is a string.
    pub fn is_quantity(&self) -> bool {
        let parents = ["limits", "requests", "hard", "capacity", "default", "defaultRequest", "max", "min", "podFixed"];
        parents.contains(&self.above())
            || matches!(self.step, "sizeLimit" | "averageValue" | "divisor" | "storage")
            || (self.step == "value" && self.above() == "target")
    }
}
