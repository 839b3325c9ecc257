//! What is said before a run of how long it will take: a line, and what is slowest.

use std::fmt::Write as _;
use std::time::Duration;

use crate::exec::{ASSUMED_LATENCY, Bottleneck, Forecast, Load, Quota};
use crate::model::TenantRow;

use super::plain::{cut, grouped, span};

/// Below this a few seconds are a few seconds: requests take as long as they take.
const FEW: Duration = Duration::from_secs(10);
/// What is slow and named at most.
const LOADS_SHOWN: usize = 3;
/// Characters of a tenant's name before the line would break.
const NAME_CHARS: usize = 32;

/// How long a run over these tenants will take, and what makes it so. Lines of 80 columns, the last without a line feed.
pub fn forecast_text(forecast: &Forecast, tenants: &[TenantRow]) -> String {
    let vpp =
        |before: &str| if forecast.follows_vpp { format!("{before}VPP actions may take minutes more") } else { String::new() };
    if forecast.takes < FEW {
        return format!("takes a few seconds{}", vpp(", "));
    }
    let mut text = format!("takes about {}", span(forecast.takes));
    let each = if forecast.loads.len() > 1 { " each" } else { "" };
    let _ = match forecast.limit {
        Bottleneck::Quota(quota) => write!(text, " at {}{each}", writes(quota)),
        Bottleneck::Rate(rate) => write!(text, " at {}{each} (--rate)", writes(rate)),
        Bottleneck::InFlight(count) => {
            let latency = ASSUMED_LATENCY.as_millis();
            write!(text, " with {count} requests in flight, of {latency} ms each (assumed);\n  --concurrency allows more")
        }
    };
    // Where there is but one, it is known which is slowest.
    if forecast.loads.len() > 1 {
        text.push_str("; the slowest:");
        for load in forecast.loads.iter().enumerate().take_while(|(at, load)| *at == 0 || load.takes >= FEW).take(LOADS_SHOWN) {
            text.push_str(&line(load.1, tenants));
        }
    }
    text.push_str(&vpp("\n  "));
    text
}

/// `100 writes per 20s`.
fn writes(quota: Quota) -> String {
    let writes = if quota.count.get() == 1 { "write" } else { "writes" };
    let per = if quota.per.subsec_nanos() == 0 { span(quota.per) } else { format!("{:?}", quota.per) };
    format!("{} {writes} per {per}", grouped(quota.count.get().into()))
}

/// `contoso (Android): 100,000 items, 5h 36m`, on a line of its own.
fn line(load: &Load, tenants: &[TenantRow]) -> String {
    let label = tenants.iter().find(|tenant| tenant.id == load.tenant).map(|tenant| tenant.label.as_str());
    let label = label.map_or_else(|| load.tenant.to_string(), |label| cut(label, NAME_CHARS));
    let service = load.service.map(|service| format!(" ({service})")).unwrap_or_default();
    let items = if load.items == 1 { "item" } else { "items" };
    format!("\n  {label}{service}: {} {items}, {}", grouped(load.items), span(load.takes))
}

#[cfg(test)]
mod tests {
    use super::super::sample::tenants;
    use super::*;
    use crate::model::Service;

    const QUOTA: Quota = Quota { count: std::num::NonZeroU32::new(100).unwrap(), per: Duration::from_secs(20) };

    fn load(tenant: usize, service: Service, items: u64, seconds: u64) -> Load {
        Load { tenant: tenants()[tenant].id, service: Some(service), items, takes: Duration::from_secs(seconds) }
    }

    fn text(seconds: u64, limit: Bottleneck, loads: &[Load]) -> String {
        let follows_vpp = loads.first().is_some_and(|load| load.service == Some(Service::Vpp));
        forecast_text(&Forecast { takes: Duration::from_secs(seconds), limit, loads: loads.to_vec(), follows_vpp }, &tenants())
    }

    #[test]
    fn one_lane_needs_no_name_and_a_short_run_no_figures() {
        let one = |seconds| text(seconds, Bottleneck::Quota(QUOTA), &[load(0, Service::Android, 400, seconds)]);
        assert_eq!(one(65), "takes about 1m 05s at 100 writes per 20s");
        assert_eq!(one(4), "takes a few seconds");
        let vpp = text(4, Bottleneck::Quota(QUOTA), &[load(0, Service::Vpp, 1, 4)]);
        assert_eq!(vpp, "takes a few seconds, VPP actions may take minutes more");
        let fast = Quota { per: Duration::from_millis(50), ..QUOTA };
        assert_eq!(text(65, Bottleneck::Quota(fast), &[]), "takes about 1m 05s at 100 writes per 50ms");
    }

    #[test]
    fn of_several_the_slowest_are_named_and_no_more() {
        let mut loads = vec![load(0, Service::Android, 100_000, 20_160), load(1, Service::Vpp, 250, 41)];
        loads.extend(vec![load(0, Service::Vpp, 3, 1); 1_000]);
        let slow = "takes about 5h 36m at 100 writes per 20s each; the slowest:\n  contoso (Android): 100,000 items, 5h 36m\n  \
                    fabrikam (VPP): 250 items, 41s";
        assert_eq!(text(20_163, Bottleneck::Quota(QUOTA), &loads), slow);
        assert_eq!(text(20_163, Bottleneck::Quota(QUOTA), &vec![loads[0]; 1_000]).lines().count(), 1 + LOADS_SHOWN);
    }

    #[test]
    fn what_limits_is_named_with_its_remedy() {
        let rate = Bottleneck::Rate(Quota { count: std::num::NonZeroU32::MIN, per: Duration::from_secs(2) });
        assert_eq!(text(200, rate, &[]), "takes about 3m 20s at 1 write per 2s (--rate)");
        let text = text(1_278, Bottleneck::InFlight(16.try_into().unwrap()), &[]);
        assert_eq!(
            text,
            "takes about 21m 18s with 16 requests in flight, of 200 ms each (assumed);\n  --concurrency allows more"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
