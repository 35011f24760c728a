//! What each command says, as data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Document;
use crate::{
    event::Event,
    load::{compare::Comparison, document::LoadDocument},
    object::{Key, Removed},
    observe::{overview::Overview, reach::Way, urls::Url},
    plan::{document::PlanStep, summary, up::aside::Aside},
    proof::ProofResult,
    provider::{check::Check, fleet::Fleet},
    report::{Kept, Summary, timings::Timings},
    stack::StackSummary,
};

macro_rules! documents {
    ($($type:ty => $kind:literal,)*) => {
        $(impl Document for $type {
            const KIND: &'static str = $kind;
        })*
    };
}

documents! {
    UpResult<'_> => "UpResult",
    UpAllResult<'_> => "UpAllResult",
    Plan<'_> => "Plan",
    Plans<'_> => "Plans",
    JobPlan => "JobPlan",
    JobResult<'_> => "JobResult",
    JobList<'_> => "JobList",
    RemovalResult<'_> => "RemovalResult",
    TestResult<'_> => "TestResult",
    LoadResult<'_> => "LoadResult",
    LoadDocument => "LoadResult",
    Comparison => "LoadComparison",
    Diff => "Diff",
    Overview => "Status",
    LogLine<'_> => "LogLine",
    Addresses<'_> => "Addresses",
    OpenedUrl<'_> => "OpenedUrl",
    Forwards => "Forwards",
    DoctorReport<'_> => "DoctorReport",
    StackList => "StackList",
    Images<'_> => "Images",
    RemovedImages => "RemovedImages",
    Login<'_> => "Login",
    Logout<'_> => "Logout",
    ClusterPower<'_> => "ClusterPower",
    Kubeconfig<'_> => "Kubeconfig",
    CertificateAuthority => "CertificateAuthority",
    Password<'_> => "Password",
    Completions<'_> => "Completions",
    Page<'_> => "Page",
    Picture<'_> => "Picture",
    BuildContext<'_> => "BuildContext",
    FileSchema => "FileSchema",
    AccessPolicy => "AccessPolicy",
    FleetCosts<'_> => "FleetCosts",
    SweepResult<'_> => "SweepResult",
    Version => "Version",
    Event => "Event",
    Timings => "Timings",
}

/// What `up` and `deploy` came to.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpResult<'a> {
    #[serde(flatten)]
    pub stack: StackResult,
    pub run: &'a Summary,
}

/// What `up --all` came to.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpAllResult<'a> {
    pub stacks: Vec<StackResult>,
    pub run: &'a Summary,
}

/// What bringing up one stack came to.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackResult {
    pub stack: String,
    /// Objects that were as they should be.
    pub unchanged: usize,
    /// Components that are still starting and that nobody waited for.
    pub starting: Vec<String>,
    /// Components that give way to what the cluster has already.
    pub aside: Vec<Aside>,
    /// How each Service is reached, where the stack has no edge on this machine.
    pub reach: Vec<Way>,
    /// The stack's routes.
    pub urls: Vec<Url>,
    pub proofs: Vec<ProofResult>,
}

/// What `up --all` would do.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plans<'a> {
    pub stacks: Vec<StackPlan<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackPlan<'a> {
    pub stack: &'a str,
    #[serde(flatten)]
    pub plan: Plan<'a>,
}

/// What the run of a job came to.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobResult<'a> {
    pub stack: &'a str,
    pub job: &'a str,
    pub took_ms: u64,
    pub log: Vec<LogLine<'a>>,
}

/// The jobs of a stack.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobList<'a> {
    pub stack: &'a str,
    pub jobs: Vec<JobDescription<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobDescription<'a> {
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// Its parameters, each with its default where it has one.
    pub parameters: BTreeMap<&'a str, Option<&'a Value>>,
}

/// What a run of a job would do.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobPlan {
    pub steps: Vec<PlanStep>,
}

/// What a command would do.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan<'a> {
    pub summary: summary::Summary,
    /// In an order in which each comes after all that it needs.
    pub steps: Vec<PlanStep>,
    /// What left the stack and stays all the same, each with the reason.
    pub kept: Vec<String>,
    /// What else goes with a cluster that is deleted.
    pub others: &'a [String],
    /// What keeps the cluster from being deleted with its last stack.
    pub stays: &'a [String],
}

/// What `down` came to.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalResult<'a> {
    pub removed: &'a [Removed],
    /// What stays on purpose.
    pub kept: &'a [Kept],
    /// What keeps the cluster.
    pub stays: &'a [String],
    /// What should have gone.
    pub left: &'a [Removed],
    /// Kinds of objects that could not be looked at, each with the reason.
    pub unseen: BTreeMap<String, String>,
}

/// What the proofs of a stack came to.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestResult<'a> {
    pub stack: &'a str,
    pub proofs: &'a [ProofResult],
}

/// What a load run measured.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadResult<'a> {
    #[serde(flatten)]
    pub document: &'a LoadDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<&'a Comparison>,
}

/// How the cluster differs from the stack.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    pub differences: Vec<Difference>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub object: Key,
    /// A unified diff of YAML.
    pub diff: String,
}

/// One line of a container's log; a document for each.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine<'a> {
    pub pod: &'a str,
    pub container: &'a str,
    pub line: &'a str,
}

/// Where a stack is reached.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Addresses<'a> {
    /// The routes of its edge.
    pub urls: &'a [Url],
    /// How each Service is reached, where it has no edge on this machine.
    pub reach: &'a [Way],
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenedUrl<'a> {
    pub url: &'a str,
    /// Whether a browser took it.
    pub opened: bool,
}

/// Printed once all of them listen.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forwards {
    pub forwards: Vec<Forward>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forward {
    pub namespace: String,
    pub service: String,
    /// As it was asked for; absent where the Service's only port is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// `127.0.0.1:8400`
    pub address: String,
}

/// The machine as `up` finds it, and every setting.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoctorReport<'a> {
    pub checks: &'a [Check],
    pub settings: Vec<Setting<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Setting<'a> {
    pub key: &'a str,
    pub value: &'a str,
    /// The flag, variable or file that it comes from, or `default`.
    pub from: String,
}

/// The stacks that ship with stackctl.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackList {
    pub items: Vec<StackSummary>,
}

/// What a stack.yaml or a component.yaml may hold.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileSchema {
    /// JSON Schema, draft 2020-12.
    pub schema: Value,
}

/// A stack's objects as a List of Kubernetes, which kubectl can apply.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectList<'a> {
    pub items: Vec<&'a Value>,
}

impl Document for ObjectList<'_> {
    const API_VERSION: &'static str = "v1";
    const KIND: &'static str = "List";
}

/// Images that were built or pushed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Images<'a> {
    /// Service to reference.
    pub images: BTreeMap<&'a str, &'a str>,
}

/// Image tags that `gc` removed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovedImages {
    pub removed: Vec<Removed>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Login<'a> {
    pub registry: &'a str,
    pub username: &'a str,
    /// The file or credential helper that keeps the token.
    pub kept_by: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logout<'a> {
    pub registry: &'a str,
    pub removed_from: &'a [String],
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPower<'a> {
    pub cluster: &'a str,
    /// `started` or `stopped`.
    pub state: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubeconfig<'a> {
    pub path: &'a str,
    pub context: &'a str,
}

/// The certificate authority of this machine.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthority {
    /// Its certificate. Absent where there is no authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether what the system trusts is another than before.
    pub changed: bool,
    /// What the system trusts of stackctl's although there is no authority.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Password<'a> {
    pub secret: &'a str,
    pub key: &'a str,
    pub value: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Completions<'a> {
    pub shell: String,
    pub script: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<'a> {
    pub page: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Picture<'a> {
    pub svg: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildContext<'a> {
    pub entries: &'a [String],
}

/// What clusters in a cloud cost as they are now.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetCosts<'a> {
    #[serde(flatten)]
    pub fleet: &'a Fleet,
    /// Of all of them: thousandths of a US dollar.
    pub per_hour: u32,
}

/// What `sweep` found, and what it came to.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SweepResult<'a> {
    #[serde(flatten)]
    pub fleet: &'a Fleet,
    #[serde(flatten)]
    pub removal: RemovalResult<'a>,
}

/// An IAM policy.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicy {
    pub policy: serde_json::Value,
}

/// As kubectl and its relatives take it, in text and in JSON alike.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecCredential<'a> {
    pub status: ExecCredentialStatus<'a>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecCredentialStatus<'a> {
    pub expiration_timestamp: String,
    pub token: &'a str,
}

impl Document for ExecCredential<'_> {
    const API_VERSION: &'static str = "client.authentication.k8s.io/v1";
    const KIND: &'static str = "ExecCredential";
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    pub version: &'static str,
}
