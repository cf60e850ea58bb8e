//! The name server's key-value configuration: namespaces of keys.

use crate::header::NoFields;
use crate::text::Text;

family! {
    pub struct PutKv: 100 => NoFields {
        namespace: Text = "namespace",
        key: Text = "key",
        value: Text = "value",
    }

    pub struct GetKv: 101 => GetKvReply {
        namespace: Text = "namespace",
        key: Text = "key",
    }

    pub struct GetKvReply {
        value: Option<Text> = "value",
    }

    pub struct DeleteKv: 102 => NoFields {
        namespace: Text = "namespace",
        key: Text = "key",
    }

    /// One namespace; the answer's body is a `KvTable`.
    pub struct GetKvTable: 219 => NoFields {
        namespace: Text = "namespace",
    }
}
