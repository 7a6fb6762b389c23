//! Operations: what is kept and run beside asking models.

use super::operation::{Operation, PAGE, delete, get, of, post, put};
use crate::agents::{NewRun, RunView, ShownAgent};
use crate::apps::{Action, Connected, NewConnection, RanAction, ShownApp, ShownConnection, Tools};
use crate::base::told::{Deleted, DeletedSome, List, OfUser, Stretch};
use crate::http::platform::{chats, memory};
use crate::memory::{Graph, MemoryPage, MemoryQuery, ShownMemory};
use crate::platform::agents::Agent;
use crate::reports::status::{Capabilities, ModelView};
use crate::stored::chats::{Saved, ShownConversation, WholeConversation};
use crate::stored::features::{FeatureChange, ShownFeature};

pub(super) const OPERATIONS: &[Operation] = &[
    get("/optima/v1/models", "Optima", "Models with tier, context, prices and health")
        .answering(of::<List<ModelView>>),
    get("/optima/v1/capabilities", "Optima", "What can be done right now")
        .answering(of::<Capabilities>),
    get("/optima/v1/conversations", "Optima", "Saved conversations, newest first")
        .asking(&[("limit", "integer"), ("after", "string"), ("search", "string")])
        .answering(of::<Stretch<ShownConversation>>),
    put("/optima/v1/conversations", "Optima", "Save a conversation")
        .told(of::<Saved>)
        .answering(of::<WholeConversation>),
    delete(
        "/optima/v1/conversations",
        "Optima",
        "Delete all of one's conversations, or the one of ?id=",
    )
    .asking(&[("id", "string")])
    .answering(of::<chats::Gone>),
    get("/optima/v1/conversations/{id}", "Optima", "A conversation with its messages")
        .answering(of::<WholeConversation>),
    put("/optima/v1/conversations/{id}", "Optima", "Change a conversation")
        .told(of::<Saved>)
        .answering(of::<WholeConversation>),
    delete("/optima/v1/conversations/{id}", "Optima", "Delete a conversation for good")
        .answering(of::<Deleted>),
    get("/v1/features", "Features", "All features, as they stand for the caller")
        .answering(of::<List<ShownFeature>>),
    get("/v1/features/{user}", "Features", "All features, as they stand for a user")
        .answering(of::<OfUser<ShownFeature>>),
    post(
        "/v1/features/{user}/{feature}",
        "Features",
        "Turn a feature on or off; the other way round without a body",
    )
    .told(of::<FeatureChange>)
    .answering(of::<ShownFeature>),
    post("/v1/memory/store", "Memory", "Remember something of a user")
        .told(of::<memory::Store>)
        .answering(of::<memory::MemoriesKept>),
    post("/v1/memory/search", "Memory", "Find what is remembered, by meaning and by words")
        .told(of::<MemoryQuery>)
        .answering(of::<OfUser<ShownMemory>>),
    get("/v1/memory/{user}", "Memory", "What is remembered of a user, oldest first")
        .asking(PAGE)
        .answering(of::<MemoryPage>),
    get("/v1/memory/graph/{user}/entities", "Memory", "Who and what a user's memories name")
        .answering(of::<Graph>),
    delete("/v1/memory/{user}", "Memory", "Forget all of a user").answering(of::<DeletedSome>),
    delete("/v1/memory/{user}/{id}", "Memory", "Forget one memory").answering(of::<DeletedSome>),
    get("/v1/agents", "Agents", "Agents, oldest first")
        .asking(PAGE)
        .answering(of::<Stretch<ShownAgent>>),
    post("/v1/agents", "Agents", "Create an agent").told(of::<Agent>).answering(of::<ShownAgent>),
    get("/v1/agents/{id}", "Agents", "An agent").answering(of::<ShownAgent>),
    put(
        "/v1/agents/{id}",
        "Agents",
        "A new version of an agent; If-Match for the one it was made from",
    )
    .told(of::<Agent>)
    .answering(of::<ShownAgent>),
    delete("/v1/agents/{id}", "Agents", "Delete an agent").answering(of::<Deleted>),
    post("/v1/agents/{id}/runs", "Agents", "Run an agent, whole or as server-sent events")
        .told(of::<NewRun>)
        .answering(of::<RunView>),
    get("/v1/connect/apps", "Connect", "Apps that can be connected")
        .answering(of::<List<ShownApp>>),
    get("/v1/connect/accounts", "Connect", "Connected accounts")
        .answering(of::<List<ShownConnection>>),
    post(
        "/v1/connect/accounts",
        "Connect",
        "Connect an account: keeps a token sealed, or says where to authorize",
    )
    .told(of::<NewConnection>)
    .answering(of::<Connected>),
    delete("/v1/connect/accounts/{id}", "Connect", "Disconnect an account")
        .answering(of::<Deleted>),
    get(
        "/v1/connect/oauth/start",
        "Connect",
        "A page that says what a person is about to allow; its form goes on to the app",
    )
    .asking(&[("state", "string")])
    .with_page(),
    post(
        "/v1/connect/oauth/start",
        "Connect",
        "From that page: on to the app's authorization server",
    )
    .asking(&[("state", "string")])
    .leading_on(),
    get(
        "/v1/connect/oauth/callback",
        "Connect",
        "Where an app's authorization server sends the user",
    )
    .asking(&[("state", "string"), ("code", "string"), ("error", "string")])
    .with_page(),
    get("/v1/connect/tools", "Connect", "Tools of one app, or of all")
        .asking(&[("app", "string")])
        .answering(of::<Tools>),
    post("/v1/connect/actions/run", "Connect", "Run a tool")
        .told(of::<Action>)
        .answering(of::<RanAction>),
    get("/v1/connect/events", "Connect", "WebSocket: what actions and agents do, from a cursor on")
        .asking(&[("after", "string")])
        .upgrading(),
];
