//! Names of the discovery resources that the index marks and the compiler fills.

use crate::names::Hostname;
use portolan_discovery::table::{ClassSettings, Kind, ResourceName};

/// Name of the settings of a class.
pub(crate) fn class_settings() -> ResourceName {
    ResourceName {
        kind: Kind::ClassSettings,
        name: ClassSettings::NAME.to_owned(),
    }
}

/// Name of the virtual host of a hostname.
pub(crate) fn virtual_host(host: &Hostname) -> ResourceName {
    ResourceName {
        kind: Kind::VirtualHost,
        name: host.as_str().to_owned(),
    }
}
