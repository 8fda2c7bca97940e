//! The role's flags into a checked configuration.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use claude_exec_breakglass::access::{
    ForwardAuth, GuardConfig, Hosts, PinnedKeys, Proof, Scopes, origin, parse_keys,
};
use claude_exec_breakglass::{agent, power};

use crate::args::Args;
pub use crate::config::told;
use crate::config::{Refused, absolute, child_env, number, read, refuse, seconds};

/// The checked configuration of the role `breakglass`.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub demo: bool,
    pub claude: OsString,
    pub child_env: Vec<String>,
    pub model: String,
    pub agent: String,
    /// The agent's way to the sick machine; none: it has none.
    pub ssh: Option<agent::Ssh>,
    /// The server's way to the Proxmox host; none in a demo.
    pub power: Option<power::Ssh>,
    pub vmid: u32,
    pub sessions_dir: PathBuf,
    pub audit_dir: PathBuf,
    pub audit_degraded_ok: bool,
    pub turns: NonZeroUsize,
    pub turn_timeout: Duration,
    pub approval_timeout: Duration,
    pub heartbeat: Duration,
    pub access: Access,
    pub secrets: Vec<String>,
    pub shutdown_grace: Duration,
    pub write_stall: Duration,
    pub max_connections: usize,
}

/// Who may; the names are known when the port is.
#[derive(Debug, Default)]
pub struct Access {
    keys_file: String,
    bearer: String,
    hosts: Vec<String>,
    origins: Vec<String>,
    forward: Option<ForwardAuth>,
}

impl Access {
    /// The guard's configuration for a server that listens on `address`.
    pub fn guard(self, address: SocketAddr) -> Result<GuardConfig, Refused> {
        let hosts = if self.hosts.is_empty() {
            if !address.ip().is_loopback() {
                let why = "must name what browsers call this server, such as bg.example.org";
                return Err(refuse("BREAKGLASS_HOSTS", why));
            }
            Hosts::loopback(address.port())
        } else {
            let given = self.hosts.join(", ");
            Hosts::new(self.hosts).ok_or_else(|| {
                refuse("BREAKGLASS_HOSTS", format!("`{given}`: a name has no scheme and no path"))
            })?
        };
        let origins = if self.origins.is_empty() {
            None
        } else {
            let given = self.origins.join(", ");
            let origins = origin::Origins::new(self.origins);
            let why =
                format!("`{given}`: an origin is scheme, host and port, such as https://bg.example.org");
            Some(origins.ok_or_else(|| refuse("BREAKGLASS_ORIGINS", why))?)
        };
        let keys = parse_keys(&self.keys_file, &self.bearer).map_err(|error| told(&error))?;
        Ok(GuardConfig::new(hosts).keys(keys).forward(self.forward).origins(origins))
    }
}

impl Config {
    /// Checks `args`. `demo_token` and `demo_dir` are used in a demo alone.
    pub fn new(args: Args, demo_token: &str, demo_dir: &Path) -> Result<Self, Refused> {
        let own = args.breakglass;
        let vmid = number("BREAKGLASS_VMID", &own.vmid, 1, 999_999_999)?;
        let vmid = u32::try_from(vmid).map_err(|_| refuse("BREAKGLASS_VMID", "is no VMID"))?;
        let turns = number("BREAKGLASS_MAX_CONCURRENT_TURNS", &own.max_concurrent_turns, 1, 100)?;
        let sessions_dir = if args.demo {
            demo_dir.join("sessions")
        } else {
            absolute("BREAKGLASS_SESSIONS_DIR", own.sessions_dir)?
        };
        let audit_dir = match own.audit_dir {
            Some(dir) if !args.demo => absolute("BREAKGLASS_AUDIT_DIR", dir)?,
            _ => sessions_dir.join("audit"),
        };
        let (mut ssh, mut power) = (None, None);
        if !args.demo {
            if !own.key_path.is_empty() {
                let key = absolute("BREAKGLASS_KEY_PATH", own.key_path)?;
                let mut way = agent::Ssh::new(own.devvm_host, own.devvm_user, key);
                if let Some(file) = own.devvm_known_hosts.filter(|file| !file.is_empty()) {
                    way = way.known_hosts(absolute("BREAKGLASS_DEVVM_KNOWN_HOSTS", file)?);
                }
                way.check().map_err(|error| told(&error))?;
                readable("BREAKGLASS_KEY_PATH", &way.key)?;
                ssh = Some(way);
            }
            let key = absolute("BREAKGLASS_POWER_KEY_PATH", own.power_key_path)?;
            let known_hosts = absolute("BREAKGLASS_PVE_KNOWN_HOSTS", own.pve_known_hosts)?;
            let (host, port) = address("BREAKGLASS_PVE_HOST", &own.pve_host)?;
            let limit =
                number("BREAKGLASS_PVE_VERB_TIMEOUT_SECONDS", &own.pve_verb_timeout_seconds, 1, 3600)?;
            let way = power::Ssh::new(host, vmid, key, known_hosts).user(own.pve_user).port(port);
            power = Some(way.limit(Duration::from_secs(limit)));
        }
        let bearer = args
            .api_bearer_token
            .unwrap_or_else(|| if args.demo { demo_token.to_owned() } else { String::new() });
        let secrets =
            entries(&bearer).map(|entry| entry.rsplit(':').next().unwrap_or_default().to_owned()).collect();
        let keys_file = match own.keys_file {
            Some(file) if !file.is_empty() => read("BREAKGLASS_KEYS_FILE", file)?,
            _ => String::new(),
        };
        let groups = own.groups;
        let proof = proof(own.proxy_secret_file, own.jwks_file, &own.jwt_issuer, &own.jwt_audience)?;
        let forward = forward(&own.proxy_peers, proof, &groups)?;
        if args.claude.is_empty() {
            return Err(refuse("CLAUDE_BIN", "must not be empty"));
        }
        Ok(Self {
            listen: args.listen,
            demo: args.demo,
            claude: args.claude,
            child_env: child_env(&args.child_env)?,
            model: own.breakglass_model,
            agent: agent_name(own.breakglass_agent)?,
            ssh,
            power,
            vmid,
            sessions_dir,
            audit_dir,
            audit_degraded_ok: own.audit_degraded_ok,
            turns: NonZeroUsize::new(turns as usize).unwrap_or(NonZeroUsize::MIN),
            turn_timeout: seconds("BREAKGLASS_TURN_TIMEOUT_SECONDS", &own.turn_timeout_seconds, 1, 86_400)?,
            approval_timeout: seconds(
                "BREAKGLASS_APPROVAL_TIMEOUT_SECONDS",
                &own.approval_timeout_seconds,
                1,
                86_400,
            )?,
            heartbeat: seconds("BREAKGLASS_SSE_KEEPALIVE_SECONDS", &own.sse_keepalive_seconds, 1, 60)?,
            access: Access {
                keys_file,
                bearer,
                hosts: entries(&own.hosts).map(str::to_owned).collect(),
                origins: entries(&own.origins).map(str::to_owned).collect(),
                forward,
            },
            secrets,
            shutdown_grace: seconds("SHUTDOWN_GRACE_SECONDS", &args.shutdown_grace_seconds, 0, 3600)?,
            write_stall: seconds("WRITE_STALL_SECONDS", &args.write_stall_seconds, 1, 3600)?.min(FLUSH_LIMIT),
            max_connections: number("MAX_CONNECTIONS", &args.max_connections, 1, 65_536)? as usize,
        })
    }
}

/// A reader of a stream that takes nothing for this long is let go; it comes back with its cursor.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);

/// It stands in argv, and names a file.
fn agent_name(name: String) -> Result<String, Refused> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.starts_with(['-', '.']) || !name.bytes().all(fits) {
        return Err(refuse("BREAKGLASS_AGENT", format!("`{name}` is no name of an agent")));
    }
    Ok(name)
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn readable(name: &'static str, path: &Path) -> Result<(), Refused> {
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| refuse(name, format!("{}: {error}; empty for no ssh", path.display())))
}

fn address(name: &'static str, text: &str) -> Result<(String, u16), Refused> {
    match text.rsplit_once(':') {
        None => Ok((text.to_owned(), 22)),
        Some((host, port)) => {
            let port = port.parse().map_err(|_| refuse(name, format!("`{text}` is no HOST or HOST:PORT")))?;
            Ok((host.to_owned(), port))
        }
    }
}

fn proof(
    secret: Option<OsString>,
    jwks: Option<OsString>,
    issuer: &str,
    audience: &str,
) -> Result<Option<Proof>, Refused> {
    let given = |file: Option<OsString>| file.filter(|file| !file.is_empty());
    match (given(secret), given(jwks)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(refuse("BREAKGLASS_JWKS_FILE", "is the better proof: leave BREAKGLASS_PROXY_SECRET_FILE out"))
        }
        (Some(file), None) => {
            let secret = read("BREAKGLASS_PROXY_SECRET_FILE", file)?;
            Proof::secret(&secret).map(Some).map_err(|error| told(&error))
        }
        (None, Some(file)) => {
            let keys = read("BREAKGLASS_JWKS_FILE", file)?;
            let keys = PinnedKeys::parse(&keys, issuer, audience).map_err(|error| told(&error))?;
            Ok(Some(Proof::Jwt(keys)))
        }
    }
}

fn forward(peers: &str, proof: Option<Proof>, groups: &str) -> Result<Option<ForwardAuth>, Refused> {
    const PEERS: &str = "BREAKGLASS_PROXY_PEERS";
    let ranges: Result<Vec<ipnet::IpNet>, _> = entries(peers).map(str::parse).collect();
    let ranges = ranges.map_err(|_| refuse(PEERS, "are address ranges such as 10.0.0.5/32"))?;
    let proof = match (ranges.is_empty(), proof) {
        (true, None) => return Ok(None),
        (true, Some(_)) => {
            return Err(refuse(PEERS, "must name the proxy, when there is a proof of its own"));
        }
        (false, None) => {
            let why = "need a proof beside them: BREAKGLASS_JWKS_FILE, or BREAKGLASS_PROXY_SECRET_FILE";
            return Err(refuse(PEERS, why));
        }
        (false, Some(proof)) => proof,
    };
    let mut forward = ForwardAuth::new(ranges, proof).map_err(|error| told(&error))?;
    for entry in entries(groups) {
        let why = || refuse("BREAKGLASS_GROUPS", format!("`{entry}` is not NAME=read+chat+power"));
        let (name, scopes) = entry.split_once('=').ok_or_else(why)?;
        let scopes: Scopes = scopes.replace('+', ",").parse().map_err(|_| why())?;
        forward = forward.group(name.trim(), scopes);
    }
    Ok(Some(forward))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn config(flags: &[&str]) -> Result<Config, Refused> {
        let base = ["server", "--role=breakglass", "--key-path="];
        let args = Args::try_parse_from(base.iter().chain(flags)).unwrap();
        Config::new(args, "demo", Path::new("/demo"))
    }

    fn refused(flags: &[&str]) -> (&'static str, String) {
        match config(flags) {
            Err(refused) => (refused.name, refused.reason),
            Ok(_) => panic!("{flags:?} was taken"),
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let table: [(&[&str], &str); 9] = [
            (&["--vmid=0"], "BREAKGLASS_VMID"),
            (&["--max-concurrent-turns=0"], "BREAKGLASS_MAX_CONCURRENT_TURNS"),
            (&["--sessions-dir=x"], "BREAKGLASS_SESSIONS_DIR"),
            (&["--pve-host=a:b"], "BREAKGLASS_PVE_HOST"),
            (&["--key-path=/none"], "BREAKGLASS_KEY_PATH"),
            (&["--proxy-peers=10.0.0.5/32"], "BREAKGLASS_PROXY_PEERS"),
            (&["--proxy-peers=me"], "BREAKGLASS_PROXY_PEERS"),
            (&["--keys-file=/none"], "BREAKGLASS_KEYS_FILE"),
            (&["--turn-timeout-seconds=0"], "BREAKGLASS_TURN_TIMEOUT_SECONDS"),
        ];
        for (flags, name) in table {
            let flags: Vec<&str> = flags.to_vec();
            let args = ["server", "--role=breakglass"].into_iter().chain(flags.iter().copied());
            let args = if flags.iter().any(|flag| flag.starts_with("--key-path")) {
                Args::try_parse_from(args)
            } else {
                Args::try_parse_from(args.chain(["--key-path="]))
            };
            let refused = Config::new(args.unwrap(), "", Path::new("")).err().map(|refused| refused.name);
            assert_eq!(refused, Some(name), "{flags:?}");
        }
        assert_eq!(refused(&["--sse-keepalive-seconds=61"]).0, "BREAKGLASS_SSE_KEEPALIVE_SECONDS");
    }

    #[test]
    fn elsewhere_than_on_loopback_the_names_must_be_given() {
        let token = "--api-bearer-token=0123456789abcdef0123456789abcdef";
        let address = |text: &str| text.parse().unwrap();
        assert!(config(&[token]).unwrap().access.guard(address("127.0.0.1:80")).is_ok());
        let refused = config(&[token]).unwrap().access.guard(address("0.0.0.0:80")).unwrap_err();
        assert_eq!(refused.name, "BREAKGLASS_HOSTS");
        assert!(config(&[token, "--hosts=bg.example"]).unwrap().access.guard(address("0.0.0.0:80")).is_ok());
        assert!(config(&[token, "--hosts=https://x"]).unwrap().access.guard(address("0.0.0.0:80")).is_err());
    }
}
