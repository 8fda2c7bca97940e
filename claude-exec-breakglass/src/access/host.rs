//! Which names this server answers to.

use http::header::HOST;
use http::{HeaderMap, Uri};

/// The names, with their ports, that a request may be addressed to. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// These names, each as a browser writes it: `bg.example`, `10.0.0.5:8443`, `[::1]:8080`. `None` when there is
    /// none, or one that is no name.
    pub fn new<I>(names: I) -> Option<Self>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let names: Vec<String> =
            names.into_iter().map(|name| name.into().trim().to_ascii_lowercase()).collect();
        let fit = |name: &String| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
            !name.is_empty() && name.bytes().all(plain)
        };
        (!names.is_empty() && names.iter().all(fit)).then_some(Self(names))
    }

    /// The names of this machine itself, for a server that listens on loopback.
    pub fn loopback(port: u16) -> Self {
        Self(["127.0.0.1", "localhost", "[::1]"].iter().map(|name| format!("{name}:{port}")).collect())
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// True when `name` is one of them.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|host| host.eq_ignore_ascii_case(name))
    }

    /// True when the request is addressed to one of them: exactly one `Host`, or the authority of HTTP/2, and both
    /// when both are there.
    pub fn admit(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(HOST).iter();
        let (host, more) = (values.next(), values.next());
        if more.is_some() {
            return false;
        }
        let authority = uri.authority().map(|authority| self.has(authority.as_str()));
        let host = host.map(|host| host.to_str().is_ok_and(|host| self.has(host)));
        match (authority, host) {
            (None, None) => false,
            (authority, host) => authority.unwrap_or(true) && host.unwrap_or(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_that_were_given_are_ours() {
        let hosts = Hosts::new(["bg.example", "10.0.0.5:8443"]).unwrap();
        type Row = (&'static str, &'static [&'static str], bool);
        let table: [Row; 17] = [
            ("/", &["bg.example"], true),
            ("/", &["BG.Example"], true),
            ("/", &["10.0.0.5:8443"], true),
            ("/", &["10.0.0.5"], false),
            ("/", &["bg.example:443"], false),
            ("/", &["bg.example."], false),
            ("/", &["evil.example"], false),
            ("/", &["bg.example.evil.example"], false),
            ("/", &["evil.example#bg.example"], false),
            ("/", &["bg.example@evil.example"], false),
            ("/", &[""], false),
            ("/", &[], false),
            ("/", &["bg.example", "bg.example"], false),
            ("http://bg.example/", &[], true),
            ("http://bg.example/", &["bg.example"], true),
            ("http://bg.example/", &["evil.example"], false),
            ("http://evil.example/", &["bg.example"], false),
        ];
        for (uri, values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HOST, value.parse().unwrap());
            }
            assert_eq!(hosts.admit(&uri.parse().unwrap(), &headers), expected, "{uri} {values:?}");
        }
    }

    #[test]
    fn a_list_without_names_is_no_list() {
        let table: [&[&str]; 5] = [&[], &[""], &["bg.example", " "], &["*"], &["https://bg.example"]];
        for names in table {
            assert_eq!(Hosts::new(names.iter().copied()), None, "{names:?}");
        }
        assert!(Hosts::loopback(8080).has("localhost:8080") && !Hosts::loopback(8080).has("localhost"));
    }
}
