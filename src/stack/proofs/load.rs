//! Reads load profiles.

use crate::stack::{
    format::{Found, Fraction, FromFound},
    model::{LoadProfile, ScaleUp, Verdict},
};

impl FromFound for LoadProfile {
    fn from_found(found: &Found) -> Option<LoadProfile> {
        let at = found.section()?;
        let verdict = at.get::<Option<Verdict>>("verdict")?.unwrap_or_default();
        Some(LoadProfile {
            url: at.get("url")?,
            rate: at.get("rate")?,
            connections: at.get("connections")?,
            duration: at.get("duration")?,
            verdict,
        })
    }
}

impl FromFound for Verdict {
    fn from_found(found: &Found) -> Option<Verdict> {
        let at = found.section()?;
        Some(Verdict {
            max_error_rate: at.get::<Option<Fraction>>("maxErrorRate")?.map(|Fraction(rate)| rate),
            max_p99: at.get("maxP99")?,
            min_rate: at.get("minRate")?,
            scale_up: at.get::<Option<Scaling>>("scaleUp")?.and_then(|Scaling(up)| up),
            scale_down: at.get("scaleDown")?,
            no_restarts: at.get("noRestarts")?,
        })
    }
}

/// None: not judged.
struct Scaling(Option<ScaleUp>);

impl FromFound for Scaling {
    fn from_found(found: &Found) -> Option<Scaling> {
        let any = || bool::from_found(found).map(|any| any.then_some(ScaleUp::Any));
        u32::from_found(found).map(|replicas| Some(ScaleUp::To(replicas))).or_else(any).map(Scaling)
    }
}
