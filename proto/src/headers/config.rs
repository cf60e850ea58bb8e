//! Configuration. It travels as properties text in the body: lines of `key=value`.

use crate::header::NoFields;
use crate::text::Text;

family! {
    pub struct UpdateBrokerConfig: 25 => NoFields {}

    pub struct GetBrokerConfig: 26 => BrokerConfigReply {}

    pub struct BrokerConfigReply {
        /// A `DataVersion` as JSON.
        version: Text = "version",
    }

    pub struct UpdateNamesrvConfig: 318 => NoFields {}

    pub struct GetNamesrvConfig: 319 => NoFields {}

    pub struct UpdateControllerConfig: 1009 => NoFields {}

    pub struct GetControllerConfig: 1010 => NoFields {}

    /// How much cold data groups may read per second.
    pub struct UpdateColdDataLimits: 2001 => NoFields {}

    /// The body is the group's name.
    pub struct RemoveColdDataLimit: 2002 => NoFields {}

    /// The answer's body is JSON to look at.
    pub struct GetColdDataLimits: 2003 => NoFields {}

    pub struct SetLogReadMode: 2004 => NoFields {
        /// Java refuses a request without it as a parameter error.
        read_ahead_mode: Option<Text> = "READ_AHEAD_MODE",
    }
}
