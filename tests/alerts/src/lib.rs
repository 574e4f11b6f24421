//! The alert rules of the chart.
//!
//! `charts/portolan/templates/_rules.tpl` is their one source. `helm` makes of it the PrometheusRule, the
//! ConfigMap and the plain file `docs/operations/alerts.rules.yaml`; the tests hold them against one another, run
//! `promtool` on the plain file (`promtool/`), and look for the metrics and the pages that they name.
