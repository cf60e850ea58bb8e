//! What built-in values take from the machine: the user's home folder, the host's name, the address others may know it by.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Built-in values that differ from machine to machine.
pub const HOST_NAME: &str = "{host name}";
pub const ADDRESS: &str = "{address}";

/// A built-in value as people read it.
pub fn described(default: &str) -> String {
    match default {
        "" => "nothing".to_string(),
        HOST_NAME => "the host's name".to_string(),
        ADDRESS => "an address of this machine".to_string(),
        text => text.to_string(),
    }
}

/// What Apache calls a host that cannot tell its name.
const HOST_NAME_UNKNOWN: &str = "DEFAULT_BROKER";

#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub home: Option<PathBuf>,
    pub host_name: String,
    /// None if only the machine itself can reach it.
    pub address: Option<IpAddr>,
}

impl Machine {
    pub fn here() -> Self {
        let host_name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        Machine {
            home: std::env::home_dir(),
            host_name: host_name
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| HOST_NAME_UNKNOWN.to_string()),
            address: preferred(&addresses()),
        }
    }

    /// A built-in value with the machine's part of it.
    pub fn filled(&self, default: &str) -> String {
        match default {
            HOST_NAME => self.host_name.clone(),
            ADDRESS => self.host(),
            text => text.to_string(),
        }
    }

    /// Where others find this machine, in the form that stands in front of a port.
    pub fn host(&self) -> String {
        match self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)) {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        }
    }
}

/// The addresses of interfaces that are up and lead to more than one peer, bridges left out. The newest interface comes first,
/// as Java lists them.
fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter(|interface| !interface.flags.contains(InterfaceFlags::IFF_POINTOPOINT))
        .filter(|interface| !is_alias_or_bridge(&interface.interface_name))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .collect();
    addresses.reverse();
    addresses
}

fn is_alias_or_bridge(interface: &str) -> bool {
    interface.contains(':') || PathBuf::from(format!("/sys/class/net/{interface}/bridge")).exists()
}

/// Apache's choice: IPv4 before IPv6, addresses of the internet before those of a site.
fn preferred(addresses: &[IpAddr]) -> Option<IpAddr> {
    let reachable = || addresses.iter().copied().filter(|address| !address.is_loopback());
    let v4 = || reachable().filter(IpAddr::is_ipv4);
    let v6 = || reachable().filter(IpAddr::is_ipv6);
    v4().find(|address| !is_of_site(*address))
        .or_else(|| v4().next_back())
        .or_else(|| v6().find(|address| !is_of_site(*address)))
        .or_else(|| v6().next())
}

/// Whether only machines of the same site know the way.
fn is_of_site(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => {
            const SITE_LOCAL: u16 = 0xfec0;
            let is_site_local = address.segments().first().is_some_and(|first| first & 0xffc0 == SITE_LOCAL);
            address.is_unicast_link_local() || is_site_local
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Machine, preferred};

    #[test]
    fn the_address_is_chosen_as_apache_does() {
        for (addresses, chosen) in [
            ("127.0.0.1 ::1", None),
            ("127.0.0.1 10.1.2.3", Some("10.1.2.3")),
            ("172.17.0.1 10.1.2.3 192.168.1.1", Some("192.168.1.1")),
            ("10.1.2.3 203.0.113.9 192.168.1.1", Some("203.0.113.9")),
            ("172.32.0.1 10.1.2.3", Some("172.32.0.1")),
            ("2001:db8::1 10.1.2.3", Some("10.1.2.3")),
            ("fe80::1 2001:db8::1", Some("2001:db8::1")),
            ("fe80::1 fec0::1", Some("fe80::1")),
            ("", None),
        ] {
            let listed: Vec<IpAddr> =
                addresses.split_whitespace().map(|address| address.parse().unwrap()).collect();
            assert_eq!(preferred(&listed), chosen.map(|address| address.parse().unwrap()), "{addresses}");
        }
    }

    #[test]
    fn an_address_stands_in_front_of_a_port() {
        let host = |address: Option<&str>| {
            Machine { address: address.map(|address| address.parse().unwrap()), ..Machine::default() }.host()
        };
        assert_eq!(host(None), "127.0.0.1");
        assert_eq!(host(Some("10.1.2.3")), "10.1.2.3");
        assert_eq!(host(Some("2001:db8::1")), "[2001:db8::1]");
    }

    #[test]
    fn every_machine_has_a_name() {
        assert!(!Machine::here().host_name.is_empty());
    }
}
