//! Which queues a consumer gets, when the broker decides, and how it consumes them.

use crate::header::NoFields;

family! {
    /// The body is an `AssignmentQuery`, the answer's an `Assignments`.
    pub struct QueryAssignment: 400 => NoFields {}

    /// The body is a `RequestMode`.
    pub struct SetRequestMode: 401 => NoFields {}

    /// For slaves. The answer's body is a `RequestModes`.
    pub struct GetRequestModes: 402 => NoFields {}
}
