//! A host without a VM, for demonstrations and tests: it answers as the forced command does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use claude_exec::Error;
use claude_exec::executor::{Command, Executor, Process, Scripted, executor_fn};
use futures::StreamExt;

use super::Verb;

/// What a VM that is not there looks like.
#[derive(Debug, Clone)]
struct Vm {
    running: bool,
    wedged: bool,
    pid: u32,
    last: Option<String>,
}

/// An executor that plays a host with one VM. Its QEMU is wedged at first: a reset does not work, a cycle does.
///
/// `pace` is the pause before each thing it says.
pub fn simulated(pace: Duration) -> impl Executor + 'static {
    let vm = Arc::new(Mutex::new(Vm { running: true, wedged: true, pid: 4711, last: None }));
    executor_fn(move |command: Command| {
        let request = command.args.last().and_then(|word| word.to_str()).unwrap_or_default();
        let mut words = request.split(' ').skip(1);
        let verb = words.next().and_then(|word| word.parse::<Verb>().ok());
        let (Some(verb), Some(vmid), Some(nonce)) = (verb, words.next(), words.next()) else {
            return Err(Error::invalid("command", "is no request of breakglass"));
        };
        let said = {
            let mut vm = vm.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut vm, verb, vmid, nonce)
        };
        let script = said
            .into_iter()
            .fold(Scripted::new(), |script, line| script.stdout(Bytes::from(format!("{line}\n"))));
        let Process { output, control } = script.into_process();
        let output = output.then(move |frame| async move {
            tokio::time::sleep(pace).await;
            frame
        });
        Ok(Process { output: output.boxed(), control })
    })
}

fn answer(vm: &mut Vm, verb: Verb, vmid: &str, nonce: &str) -> Vec<String> {
    let mut said = vec![format!("BG1 begin {nonce} {verb} {vmid}")];
    let state = |vm: &Vm| if vm.running { "running" } else { "stopped" };
    if !verb.is_mutating() {
        said.push(format!("BG1 fact status={}", state(vm)));
        said.push("BG1 fact name=demo".to_owned());
        if vm.running {
            let qmp = if vm.wedged { "dead" } else { "running" };
            said.push("BG1 fact uptime=262800".to_owned());
            said.push(format!("BG1 fact process={}:1", vm.pid));
            said.push("BG1 fact process_state=S".to_owned());
            said.push(format!("BG1 fact qmp={qmp}"));
        }
        said.extend(vm.last.clone());
        if verb == Verb::Forensics {
            said.push("BG1 section kernel".to_owned());
            said.push("> (simulated) Out of memory: Killed process 812 (postgres)".to_owned());
        }
        said.push(format!("> name: demo\n> status: {}\n> vmid: {vmid}", state(vm)));
        said.push(format!("BG1 end {nonce} rc=0 status={} proof=read", state(vm)));
        return said;
    }
    let (rc, proof) = change(vm, verb, vmid, &mut said);
    vm.last = Some(format!("BG1 last {nonce} {verb} rc={rc} status={} proof={proof} at=0", state(vm)));
    said.push(format!("BG1 end {nonce} rc={rc} status={} proof={proof}", state(vm)));
    said
}

fn change(vm: &mut Vm, verb: Verb, vmid: &str, said: &mut Vec<String>) -> (i32, &'static str) {
    said.push(format!("BG1 step {}", if verb == Verb::Cycle { "stop" } else { verb.name() }));
    let mut no = |why: &str| {
        said.push(format!("> VM {vmid} {why}"));
        (255, "failed")
    };
    match verb {
        Verb::Start if vm.running => return no("already running"),
        Verb::Reset if !vm.running => return no("not running"),
        Verb::Reset if vm.wedged => return no("qmp command 'system_reset' failed - got timeout"),
        Verb::Reset => return (0, "sent"),
        Verb::Stop | Verb::Cycle => {
            vm.running = false;
            said.push("BG1 step stopped".to_owned());
        }
        _ => {}
    }
    if matches!(verb, Verb::Start | Verb::Cycle) {
        if verb == Verb::Cycle {
            said.push("BG1 step start".to_owned());
        }
        said.push("BG1 step running".to_owned());
        *vm = Vm { running: true, wedged: false, pid: vm.pid + 1, last: vm.last.take() };
    }
    (0, "verified")
}
