/** The style of the status page: light and dark by the browser's wish, from 320 px on. */
export const style = `
:root {
color-scheme: light dark; font: 14px/1.45 system-ui, sans-serif;
--text: #1f2328; --soft: #59636e; --back: #f6f8fa; --card: #fff; --line: #d1d9e0; --link: #0550ae; --stroke: #0969da; --fill: #0969da1f; --alarm: #b3141f
}
body { max-width: 76rem; margin: 0 auto; padding: 1rem; color: var(--text); background: var(--back) }
a { color: var(--link) }
h1 { font-size: 1.4rem; margin: 0 }
h2 { font-size: 1.05rem; margin: 0 0 .5rem }
small, .quiet { font-weight: normal; color: var(--soft) }
header p { margin: .5rem 0 }
.summary { font-size: 1.05rem; padding: .7rem .9rem; border: 1px solid var(--line); border-left: .35rem solid #59636e; border-radius: .5rem; background: var(--card); overflow-wrap: anywhere }
.summary[data-status=healthy] { border-left-color: #1a7f37 }
.summary[data-status=degraded], .summary[data-status=starting], .summary[data-status=draining] { border-left-color: #9a6700 }
.summary[data-status=unhealthy] { border-left-color: #cf222e }
section, .tiles div { border: 1px solid var(--line); border-radius: .5rem; background: var(--card); padding: .7rem .9rem }
section { overflow-x: auto; margin: .8rem 0 0 }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); gap: .8rem; margin: .8rem 0 0 }
.tiles dt { color: var(--soft) }
.tiles dd { margin: 0; font-variant-numeric: tabular-nums }
.tiles .big { font-size: 1.6rem; font-weight: 600 }
.alarm { color: var(--alarm); font-weight: 600 }
figure { margin: .5rem 0 0 }
figure svg { display: block; width: 100%; height: 64px }
figcaption { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem }
polyline { fill: none; stroke: var(--stroke); stroke-width: 1.5; vector-effect: non-scaling-stroke }
polygon { fill: var(--fill) }
.grid { fill: none; stroke: var(--line); stroke-dasharray: 3 3; vector-effect: non-scaling-stroke }
.controls { display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; align-items: center; margin: 0 0 .5rem }
input, button { font: inherit }
th button { all: unset; cursor: pointer; font-weight: bold }
th button:focus-visible { outline: 2px solid var(--stroke); outline-offset: 2px }
th[aria-sort=ascending] button::after { content: " ↑" }
th[aria-sort=descending] button::after { content: " ↓" }
.log { font-variant-numeric: tabular-nums; padding-left: 1.5rem; margin: 0 }
.log:empty::before { content: "nothing has changed" }
table { border-collapse: collapse; width: 100% }
th { color: var(--soft); font-weight: 600 }
th, td { text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
tbody tr:last-child td { border-bottom: 0 }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
td.wide { white-space: normal; overflow-wrap: anywhere; min-width: 12rem }
time, [title] { cursor: default }
.badge { padding: .1rem .5rem; border-radius: .5rem; color: #fff; background: #59636e; white-space: nowrap }
.good { background: #1a7f37 }
.fair { background: #7d4e00 }
.poor { background: #cf222e }
@media (prefers-color-scheme: dark) {
:root { --text: #e6edf3; --soft: #9198a1; --back: #0d1117; --card: #151b23; --line: #3d444d; --link: #79b8ff; --stroke: #58a6ff; --fill: #58a6ff2e; --alarm: #ff7b72 }
}
`
