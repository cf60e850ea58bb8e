//! Keys and values: the name server's configuration, and a broker's vital signs.

use std::collections::BTreeMap;

family! {
    pub struct KvTable {
        table: BTreeMap<String, String> = "table",
    }

    /// Every namespace, as the name server keeps it on disk.
    pub struct KvConfig {
        config_table: BTreeMap<String, BTreeMap<String, String>> = "configTable",
    }
}
