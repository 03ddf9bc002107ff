"""How the status page looks: one style sheet for light and dark, wide and narrow. Pure.

Colours are variables, so that a test can measure their contrast. Nothing is told by colour alone.
"""

from base64 import b64encode
from hashlib import sha256

LIGHT = """
  color-scheme: light;
  --page: #f5f6f8; --card: #ffffff; --line: #d9dce3; --text: #1b1e25; --quiet: #565c69;
  --good: #12663a; --good-card: #e3f4e9; --warn: #7a4b00; --warn-card: #fdf0d3;
  --bad: #a3180f; --bad-card: #fde6e3; --link: #0b55b8;
"""
DARK = """
  color-scheme: dark;
  --page: #12141a; --card: #1b1e26; --line: #363b47; --text: #e8eaf0; --quiet: #a7adba;
  --good: #7fdca3; --good-card: #16331f; --warn: #f3c26b; --warn-card: #3a2c0c;
  --bad: #ff9c92; --bad-card: #451a17; --link: #8ab8ff;
"""

STYLE = (
    ":root {"
    + LIGHT
    + "}\n@media (prefers-color-scheme: dark) { :root {"
    + DARK
    + """} }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.25rem 1rem 3rem; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
a { color: var(--link); }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0; }
h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
p { margin: .2rem 0; }
code { font: .92em/1.4 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
header { display: flex; flex-wrap: wrap; gap: .4rem 1.25rem; align-items: center;
  justify-content: space-between; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1rem; list-style: none; margin: 0; padding: 0; }
.quiet { color: var(--quiet); }
.mark { display: inline-block; padding: 0 .5rem; border-radius: .6rem; font-weight: 600;
  white-space: nowrap; }
.good { color: var(--good); background: var(--good-card); }
.warn { color: var(--warn); background: var(--warn-card); }
.bad { color: var(--bad); background: var(--bad-card); }
.concerns { list-style: none; margin: 0; padding: 0; }
.concerns li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  border-left-width: .4rem; padding: .5rem .8rem; margin-bottom: .5rem; }
.concerns li.needs { border-left-color: var(--bad); }
.concerns li.waits { border-left-color: var(--warn); }
.concerns li.fine { border-left-color: var(--good); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem;
  margin: 1.25rem 0 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem .8rem; }
.figures dt { color: var(--quiet); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.figures dd small { font-size: .8rem; font-weight: 400; color: var(--quiet); display: block; }
table { width: 100%; border-collapse: collapse; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: .35rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem;
  border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--quiet); font-size: .85rem; font-weight: 600; }
tbody th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.small { display: block; font-size: .87rem; font-weight: 400; color: var(--quiet); }
td .small { min-width: 11rem; }
.nowrap { white-space: nowrap; }
meter { width: 5rem; height: .7rem; vertical-align: middle; }
.about { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
.about dt { color: var(--quiet); }
.about dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, th, td { display: block; }
  caption { display: block; padding: .5rem .9rem; border-bottom: 1px solid var(--line); }
  tbody tr { padding: .5rem .3rem; border-top: 1px solid var(--line); }
  tbody tr:first-child { border-top: 0; }
  tbody th, tbody td { border: 0; padding: .12rem .6rem; }
  tbody td { display: grid; grid-template-columns: 8rem 1fr; gap: .6rem; text-align: left; }
  tbody td::before { content: attr(data-label); color: var(--quiet); font-size: .87rem; }
  .number { text-align: left; }
}
"""
)

_DIGEST = b64encode(sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing is loaded from anywhere, nothing runs, and only this very style sheet counts."""
