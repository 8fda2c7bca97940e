//! The demo: an agent from a script and a VM that is not there. It asks, it waits, and it does as it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use claude_exec::Result;
use claude_exec::executor::Executor;
use claude_exec::protocol::{Event, Reply, Translator};
use claude_exec_breakglass::agent::{Agent, Ask, Reins, Saying};
use claude_exec_breakglass::audit::Audit;
use claude_exec_breakglass::power::{Power, Ssh};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

/// The pause before each thing that is said, so that it can be followed.
pub const PACE: Duration = Duration::from_millis(40);

/// What the demo says of itself before anything else.
pub const WARNING: &str = "\
*** DEMO: no model is asked, no machine is touched; the agent is a script, the VM is simulated. ***
*** Sessions and audit are forgotten when it ends.                                             ***";

/// What to open and what to try.
pub fn hints(address: SocketAddr, token: &str) -> String {
    format!(
        "open http://{address}/ and sign in with the key {token}\n\
         or: curl -sN http://{address}/api/sessions -H 'Authorization: Bearer {token}'\n"
    )
}

/// The power verbs of a VM that is not there.
pub fn power(vmid: u32, executor: impl Executor + 'static, audit: Audit) -> Power {
    Power::unchecked(Ssh::new("demo", vmid, "/nonexistent", "/nonexistent"), executor, audit)
}

/// An agent that follows a script.
pub struct DemoAgent;

impl Agent for DemoAgent {
    fn say(&self, ask: Ask) -> BoxFuture<'_, Result<Saying>> {
        let (tell, events) = mpsc::channel(64);
        let (end, ended) = watch::channel(false);
        let actor = Actor { tell, translator: Translator::new(), asked: Arc::default(), number: 0 };
        let reins = Arc::new(DemoReins { end, asked: Arc::clone(&actor.asked) });
        tokio::spawn(play(actor, ask.prompt, ended));
        let events = futures::stream::unfold(events, |mut events| async move {
            events.recv().await.map(|event| (event, events))
        });
        futures::future::ready(Ok(Saying { events: events.boxed(), reins })).boxed()
    }

    fn rest<'a>(&'a self, _session: &'a str) -> BoxFuture<'a, ()> {
        futures::future::ready(()).boxed()
    }

    fn forget<'a>(&'a self, _session: &'a str) -> BoxFuture<'a, Result<()>> {
        futures::future::ready(Ok(())).boxed()
    }
}

type Asked = Arc<Mutex<HashMap<String, oneshot::Sender<Reply>>>>;

struct DemoReins {
    end: watch::Sender<bool>,
    asked: Asked,
}

impl Reins for DemoReins {
    fn interrupt(&self) {
        self.end.send_replace(true);
    }

    fn stop(&self) {
        self.interrupt();
    }

    fn reply<'a>(&'a self, request_id: &'a str, reply: Reply) -> BoxFuture<'a, Result<()>> {
        let waiting = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(request_id);
        if let Some(waiting) = waiting {
            let _ = waiting.send(reply); // a turn that is over does not want to know
        }
        futures::future::ready(Ok(())).boxed()
    }
}

async fn play(mut actor: Actor, prompt: String, mut ended: watch::Receiver<bool>) {
    let stopped = async { ended.wait_for(|ended| *ended).await.is_ok() };
    let was_stopped = tokio::select! {
        stopped = stopped => stopped,
        () = act(&mut actor, &prompt) => false,
    };
    if was_stopped {
        actor.event(Event::Cancelled).await;
    }
    actor.event(Event::TurnEnd).await;
}

/// Speaks the CLI's language, line by line.
struct Actor {
    tell: mpsc::Sender<Event>,
    translator: Translator,
    asked: Asked,
    number: u32,
}

/// What comes of a question.
enum Told {
    Yes,
    No(String),
    /// What a tool of ours has answered.
    Text(String),
}

async fn act(actor: &mut Actor, prompt: &str) {
    let init = json!({
        "type": "system", "subtype": "init", "session_id": "00000000-0000-4000-8000-000000000000",
        "model": "demo-script", "tools": ["Bash"], "claude_code_version": "0.0.0", "cwd": "/", "permissionMode": "default",
    });
    actor.line(&init).await;
    let about = prompt.to_lowercase();
    if ["qemu", "wedged", "power", "cycle", "reset", "hang"].iter().any(|word| about.contains(word)) {
        wedged(actor).await;
    } else {
        out_of_memory(actor).await;
    }
    let result = json!({
        "type": "result", "subtype": "success", "is_error": false, "result": "", "num_turns": 3, "duration_ms": 4200,
        "total_cost_usd": 0.0, "usage": {"input_tokens": 2210, "output_tokens": 188},
    });
    actor.line(&result).await;
}

async fn out_of_memory(actor: &mut Actor) {
    actor.say("I look first: load, memory, disks, failed units.").await;
    let look = "ssh devvm 'uptime; free -m; df -h /; systemctl --failed --no-pager; dmesg -T | tail -n 5'";
    if let Told::No(why) = actor.run(look, OUTPUT).await {
        return actor.say(&format!("That was refused ({why}), so I know nothing yet.")).await;
    }
    actor
        .say(
            "**postgresql is down: the kernel killed it for want of memory at 03:12.**\n\n\
             - memory: 7,762 of 7,976 MB used, swap full\n- load 14.2, disks fine (61 %)\n- 1 failed unit\n\n\
             A restart brings it back; what filled the memory is still there, so watch it.",
        )
        .await;
    match actor.run("ssh devvm sudo systemctl restart postgresql", "").await {
        Told::No(why) => actor.say(&format!("Not restarted ({why}). The database stays down.")).await,
        _ => {
            let check = "ssh devvm systemctl is-active postgresql";
            actor.run(check, "active").await;
            actor.say("**postgresql is active again.** Next: find what grew, `ps aux --sort=-%mem`.").await;
        }
    }
}

async fn wedged(actor: &mut Actor) {
    actor.say("I look from the host, since the guest may not answer.").await;
    let seen = actor.power("status", "Is QEMU alive?").await;
    let Told::Text(seen) = seen else { return actor.say("The host does not answer.").await };
    let first = seen.lines().next().unwrap_or_default().to_owned();
    actor
        .say(&format!(
            "The host says: {first}\n\nQMP does not answer, so a `reset` cannot work. **A cycle stops the process and \
             starts a new one.** Unsaved data in the guest is lost."
        ))
        .await;
    match actor.power("cycle", "QMP does not answer: QEMU hangs").await {
        Told::Text(text) => {
            let outcome = text.lines().next().unwrap_or_default();
            actor.say(&format!("{outcome}\n\nGive the guest a minute to boot, then look again.")).await;
        }
        Told::No(why) => actor.say(&format!("Not done: {why}")).await,
        Told::Yes => {}
    }
}

const OUTPUT: &str = "\
 03:41:07 up 3 days,  1:12,  0 users,  load average: 14.20, 13.87, 9.03
               total        used        free      shared  buff/cache   available
Mem:            7976        7762          84          12         130          58
Swap:           2047        2047           0
Filesystem      Size  Used Avail Use% Mounted on
/dev/vda1        40G   24G   16G  61% /
  UNIT               LOAD   ACTIVE SUB    DESCRIPTION
● postgresql.service loaded failed failed PostgreSQL database server
[Tue 03:12:44] Out of memory: Killed process 812 (postgres) total-vm:2914012kB
[Tue 03:12:44] oom_reaper: reaped process 812 (postgres)";

impl Actor {
    async fn event(&self, event: Event) {
        // A server that ends does not listen any more.
        let _ = self.tell.send(event).await;
    }

    async fn line(&mut self, line: &Value) {
        tokio::time::sleep(PACE).await;
        self.translator.push(format!("{line}\n").as_bytes());
        while let Some(event) = self.translator.poll_event() {
            self.event(event).await;
        }
    }

    fn next(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    async fn stream(&mut self, event: Value) {
        self.line(&json!({"type": "stream_event", "event": event, "parent_tool_use_id": null})).await;
    }

    async fn say(&mut self, text: &str) {
        let id = format!("msg_demo_{}", self.next());
        self.stream(json!({"type": "message_start", "message": {"id": id}})).await;
        let block = json!({"type": "text", "text": ""});
        self.stream(json!({"type": "content_block_start", "index": 0, "content_block": block})).await;
        for word in text.split_inclusive(' ') {
            let delta = json!({"type": "text_delta", "text": word});
            self.stream(json!({"type": "content_block_delta", "index": 0, "delta": delta})).await;
        }
        self.stream(json!({"type": "content_block_stop", "index": 0})).await;
        self.stream(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})).await;
        self.stream(json!({"type": "message_stop"})).await;
    }

    async fn call(&mut self, name: &str, input: &Value) -> String {
        let number = self.next();
        let id = format!("toolu_demo_{number}");
        let block = json!({"type": "tool_use", "id": id, "name": name, "input": input});
        let message = json!({"id": format!("msg_demo_{number}"), "role": "assistant", "content": [block]});
        self.line(&json!({"type": "assistant", "message": message, "parent_tool_use_id": null})).await;
        id
    }

    async fn result(&mut self, id: &str, text: &str, is_error: bool) {
        let block = json!({"type": "tool_result", "tool_use_id": id, "content": text, "is_error": is_error});
        let message = json!({"role": "user", "content": [block]});
        self.line(&json!({"type": "user", "message": message, "parent_tool_use_id": null})).await;
    }

    async fn ask(&mut self, request: Value) -> Reply {
        let id = format!("demo-{}", self.next());
        let (answer, answered) = oneshot::channel();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), answer);
        self.line(&json!({"type": "control_request", "request_id": id, "request": request})).await;
        answered.await.unwrap_or_else(|_| Reply::Error("the turn is over".to_owned()))
    }

    async fn run(&mut self, command: &str, output: &str) -> Told {
        let input = json!({"command": command});
        let id = self.call("Bash", &input).await;
        let request = json!({
            "subtype": "can_use_tool", "tool_name": "Bash", "display_name": "Bash", "input": input, "tool_use_id": id,
        });
        match self.ask(request).await {
            Reply::Allow { .. } => {
                tokio::time::sleep(PACE * 10).await;
                self.result(&id, output, false).await;
                Told::Yes
            }
            Reply::Deny { message, .. } => {
                self.result(&id, &message, true).await;
                Told::No(message)
            }
            _ => Told::No("no answer".to_owned()),
        }
    }

    async fn power(&mut self, verb: &str, reason: &str) -> Told {
        let arguments = json!({"verb": verb, "reason": reason});
        let id = self.call("mcp__breakglass__power", &arguments).await;
        let params = json!({"name": "power", "arguments": arguments, "_meta": {"claudecode/toolUseId": id}});
        let message = json!({"jsonrpc": "2.0", "id": self.number, "method": "tools/call", "params": params});
        let request = json!({"subtype": "mcp_message", "server_name": "breakglass", "message": message});
        let Reply::Mcp(answer) = self.ask(request).await else { return Told::No("no answer".to_owned()) };
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        let is_error = answer["result"]["isError"] == true;
        self.result(&id, &text, is_error).await;
        if is_error { Told::No(text) } else { Told::Text(text) }
    }
}
