//! Medians and other quantiles of measured figures.

/// Measured figures, sorted.
pub(crate) struct Sorted(Vec<f64>);

impl Sorted {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self(sorted)
    }

    /// The figure that `percent` percent of the others do not exceed: 50 is the median, 100 the greatest.
    /// Without figures it is NaN.
    pub(crate) fn at(&self, percent: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * percent / 100).min(last)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    Sorted::of(figures).at(50)
}
