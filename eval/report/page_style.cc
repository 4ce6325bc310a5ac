#include <string_view>

#include "eval/report/html.h"

namespace sterna::eval::report {

// No "<" and no "&": the page is parsed as XML, too.
std::string_view page_style() {
  return R"(* { box-sizing: border-box; }
:root {
  color-scheme: light dark;
  --raised: #f5f6f8; --accent: #0067a3; --good: #00714f; --warn: #945c00; --bad: #b13a00;
}
@media (prefers-color-scheme: dark) {
  :root { --raised: #1f242a; --accent: #6bb8f2; --good: #3fcf9f; --warn: #e6b84a; --bad: #ff8f5c; }
}
body {
  margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 84rem;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK JP", sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word;
}
h1, h2, h3, h4 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: clamp(1.5rem, 4vw, 2.2rem); margin: 0.2rem 0 0.6rem; letter-spacing: -0.012em; }
h2 { font-size: 1.35rem; margin: 3rem 0 0.8rem; padding-top: 0.8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 0.4rem; }
p, figcaption, .note { max-width: 46rem; }
.kicker { color: var(--faint); font-size: 0.875rem; margin: 0; }
.lead { font-size: 1.1rem; margin: 0 0 1.2rem; }
.note, figcaption { color: var(--faint); font-size: 0.875rem; margin: 0.3rem 0 0.6rem; }
header { background: var(--raised); border-radius: 0.8rem; padding: 1.4rem 1.6rem; }
.models { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.1rem; }
.models li {
  display: grid; grid-template-columns: minmax(9rem, 16rem) 11.5rem 1fr; gap: 0 1rem;
  padding: 0.45rem 0; border-top: 1px solid var(--rule);
}
.models .name { font-weight: 600; overflow-wrap: anywhere; }
.models .text { font-size: 0.9375rem; }
.grade { font-weight: 600; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); } .plain { color: var(--faint); }
.chosen { display: inline-block; font-size: 0.75rem; font-weight: 600; color: var(--paper); background: var(--good);
  border-radius: 0.3rem; padding: 0 0.4rem; margin-left: 0.4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.8125rem; font-variant-numeric: tabular-nums; width: max-content; }
th, td { padding: 0.35rem 0.5rem; max-width: 40rem; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: top; }
thead th { vertical-align: bottom; color: var(--faint); font-weight: 600; border-bottom: 2px solid var(--rule); }
tbody th { font-weight: 600; }
th.right, td.right { text-align: right; white-space: nowrap; }
th.right { white-space: normal; }
thead th[title] { text-decoration: underline dotted; text-underline-offset: 0.2em; cursor: help; }
th:first-child { position: sticky; left: 0; background: var(--paper); max-width: 16rem;
  overflow-wrap: anywhere; }
tbody tr:hover td, tbody tr:hover th { background: var(--raised); }
tr.chosen-row th:first-child { box-shadow: inset 3px 0 var(--good); }
.checksum td { overflow-wrap: anywhere; }
figure { margin: 1.6rem 0 0; min-width: 0; }
figure h3 { margin: 0 0 0.6rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); gap: 0 2rem; }
.figures .wide { grid-column: 1 / -1; }
.panels { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem; }
.panels .scroll { max-width: 100%; }
svg.plot { display: block; max-width: 100%; height: auto; min-width: 28rem; }
.small svg.plot { min-width: 20rem; }
details { border: 1px solid var(--rule); border-radius: 0.5rem; margin: 0.6rem 0; padding: 0.5rem 0.9rem; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
summary .note { font-weight: 400; }
.answers { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1rem;
  margin: 0.8rem 0 0.3rem; }
.answers h4 { margin: 0; font-size: 0.875rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--raised); border-radius: 0.4rem;
  padding: 0.6rem 0.8rem; margin: 0.3rem 0; font: 0.8125rem/1.5 ui-monospace, "Noto Sans Mono", "Noto Sans Mono CJK JP",
  monospace; }
.same { color: var(--faint); }
footer { color: var(--faint); font-size: 0.875rem; margin-top: 3rem; }
@media (max-width: 48rem) {
  body { padding: 1rem 0.9rem 3rem; }
  header { padding: 1rem 1rem; margin: 0 -0.3rem; }
  .models li { grid-template-columns: 1fr; }
  th, td { padding: 0.3rem 0.5rem; }
  th:first-child { max-width: 9rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.2rem 0.35rem; }
  th:first-child { position: static; }
  svg.plot { min-width: 0; }
  figure, details, tr, .models li { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; display: block; }
}
)";
}

}  // namespace sterna::eval::report
