//! A command: one request or one answer, as a frame carries it.
//!
//! The header has two forms, JSON and ROCKETMQ's binary one. An answer is written in the form its request came in.

pub(crate) mod binary;
mod json;

use bytes::{BufMut, Bytes, BytesMut};

use crate::code::{RequestCode, ResponseCode};
use crate::fields::Fields;
use crate::frame::{self, Frame};
use crate::json::JsonError;
use crate::language::Language;
use crate::text::Text;
use crate::version;

const RESPONSE: i32 = 0b01;
const ONE_WAY: i32 = 0b10;

/// How a header is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeaderForm {
    #[default]
    Json,
    Binary,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// A [`RequestCode`], or a [`ResponseCode`] in an answer.
    pub code: i32,
    pub language: Language,
    pub version: i32,
    /// The requester's number for this exchange; its answer repeats it.
    pub opaque: i32,
    pub flag: i32,
    pub remark: Option<Text>,
    pub fields: Fields,
    pub body: Bytes,
    pub form: HeaderForm,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("the header is no command: {0}")]
    Json(#[from] JsonError),
    #[error("the header is no command: {0}")]
    Binary(#[from] binary::BinaryError),
    #[error("header form {0} is unknown")]
    UnknownForm(u8),
}

impl Command {
    pub fn request(code: RequestCode) -> Self {
        Self {
            code: code.0,
            language: Language::Java,
            version: version::OURS,
            opaque: 0,
            flag: 0,
            remark: None,
            fields: Fields::default(),
            body: Bytes::new(),
            form: HeaderForm::Json,
        }
    }

    /// The answer to `self`, in its form. Its fields are present, since some clients read them unasked.
    pub fn answer(&self, code: ResponseCode) -> Self {
        Self {
            code: code.0,
            opaque: self.opaque,
            flag: RESPONSE,
            fields: Fields::empty(),
            form: self.form,
            ..Self::request(RequestCode(0))
        }
    }

    /// Lets go of what it carries, and so of the buffer into which it was read. What is left is enough for an answer.
    pub fn let_go(&mut self) {
        self.remark = None;
        self.fields = Fields::default();
        self.body = Bytes::new();
    }

    /// Adds the text that says why.
    pub fn with_remark(mut self, remark: impl Into<Text>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn with_opaque(mut self, opaque: i32) -> Self {
        self.opaque = opaque;
        self
    }

    /// Marks a request that nobody answers.
    pub fn one_way(mut self) -> Self {
        self.flag |= ONE_WAY;
        self
    }

    pub fn is_answer(&self) -> bool {
        self.flag & RESPONSE != 0
    }

    pub fn is_one_way(&self) -> bool {
        self.flag & ONE_WAY != 0
    }

    pub fn decode(frame: Frame) -> Result<Self, CommandError> {
        match frame.form {
            0 => json::decode(&frame.header, frame.body).map_err(CommandError::Json),
            1 => binary::decode(&frame.header, frame.body).map_err(CommandError::Binary),
            form => Err(CommandError::UnknownForm(form)),
        }
    }

    /// Appends the frame without its body, which the caller must send right after.
    pub fn encode_head(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_bytes(0, frame::PREFIX);
        match self.form {
            HeaderForm::Json => json::encode(self, out),
            HeaderForm::Binary => binary::encode(self, out),
        }
        let header_length = out.len() - start - frame::PREFIX;
        let form = match self.form {
            HeaderForm::Json => 0,
            HeaderForm::Binary => 1,
        };
        let prefix = frame::prefix(form, header_length, self.body.len());
        if let Some(hole) = out.get_mut(start..start + frame::PREFIX) {
            hole.copy_from_slice(&prefix);
        }
    }

    /// Appends the whole frame.
    pub fn encode(&self, out: &mut BytesMut) {
        self.encode_head(out);
        out.extend_from_slice(&self.body);
    }
}

#[cfg(test)]
mod tests;
