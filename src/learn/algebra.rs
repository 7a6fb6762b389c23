//! Linear equations, small and dense.

/// A symmetric positive matrix as the product of a lower triangle and its mirror image. Row by row.
#[derive(Debug, Clone)]
pub struct Cholesky {
    count: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Of a matrix of `count` rows. Pivots that are not above nothing are lifted to the least that
    /// can be divided by.
    #[must_use]
    pub fn of(mut matrix: Vec<f64>, count: usize) -> Self {
        for row in 0..count {
            for column in 0..=row {
                let (one, other) = (&matrix[row * count..], &matrix[column * count..]);
                let sum: f64 = one[..column]
                    .iter()
                    .zip(&other[..column])
                    .map(|(one, other)| one * other)
                    .sum();
                let left = matrix[row * count + column] - sum;
                matrix[row * count + column] = if row == column {
                    left.max(1e-12).sqrt()
                } else {
                    left / matrix[column * count + column]
                };
            }
        }
        Self { count, lower: matrix }
    }

    /// What the lower triangle makes of nothing but `right`.
    #[must_use]
    pub fn forward(&self, mut right: Vec<f64>) -> Vec<f64> {
        for row in 0..self.count {
            let line = &self.lower[row * self.count..][..=row];
            let sum: f64 = line[..row].iter().zip(&right).map(|(one, other)| one * other).sum();
            right[row] = (right[row] - sum) / line[row];
        }
        right
    }

    /// The solution of the equations whose right side is `right`.
    #[must_use]
    pub fn solve(&self, right: Vec<f64>) -> Vec<f64> {
        let mut right = self.forward(right);
        for row in (0..self.count).rev() {
            let one = right[row] / self.lower[row * self.count + row];
            right[row] = one;
            for (left, lower) in right[..row].iter_mut().zip(&self.lower[row * self.count..]) {
                *left -= one * lower;
            }
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        let solved = Cholesky::of(vec![4.0, 1.0, 1.0, 3.0], 2).solve(vec![1.0, 2.0]);
        assert!((solved[0] - 1.0 / 11.0).abs() < 1e-12 && (solved[1] - 7.0 / 11.0).abs() < 1e-12);
    }
}
