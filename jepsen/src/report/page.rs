//! A page that needs nothing but itself: no network, no script.

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fff;--dim:#667085;--line:#d0d5dd;--panel:#f6f7f9}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--paper:#14181f;--dim:#98a2b3;--line:#344054;--panel:#1d232c}}
body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:var(--ink);background:var(--paper)}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2rem 0 .4rem}
p.sub{color:var(--dim);margin:.1rem 0 1rem}
.verdict{display:inline-block;padding:.1rem .7rem;border-radius:.4rem;color:#fff;font-weight:600}
.valid{background:#1f8a4c}.invalid{background:#c2333a}.unknown{background:#b7791f}
.first{border-left:4px solid #c2333a;background:var(--panel);padding:.6rem 1rem;margin:1rem 0;font-size:1.05rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--dim);font-weight:500}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr.hit td{background:#c2333a22}tr.c0 td{}tr.c1 td{background:#c2333a22}tr.c2 td{background:#b7791f22}
code,.mono{font:12px/1.45 ui-monospace,monospace;overflow-wrap:anywhere}
table.mono td:not(:last-child),table.mono th{white-space:nowrap;overflow-wrap:normal}td:first-child,td.n,td.v{white-space:nowrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem}dt{color:var(--dim)}dd{margin:0}
svg{display:block;width:100%;height:auto;background:var(--panel);border-radius:.4rem}
svg text{fill:var(--dim);font:11px system-ui,sans-serif}svg .axis{stroke:var(--line)}
.legend span{display:inline-block;margin-right:1rem;color:var(--dim)}.legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin-right:.3rem;vertical-align:-.1rem}
";

/// Text that stands for itself.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Control characters have no place on a page.
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
        out
    })
}

/// With its thousands apart.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let (mut out, length) = (String::new(), digits.len());
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (length - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><body>{body}</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (given, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (5_108_843, "5,108,843")] {
            assert_eq!(number(given), shown);
        }
    }

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(escape("<b a=\"1\">&\u{1b}[0m"), "&lt;b a=&quot;1&quot;&gt;&amp; [0m");
        assert!(page("</title>", "").contains("<title>&lt;/title&gt;</title>"));
    }
}
