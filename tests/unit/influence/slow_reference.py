"""The estimators written as their formulas, one group and one example at a time, in float64."""

import numpy as np
from scipy.stats import norm, rankdata, t


def slow_difference(masks, outputs, clusters=None):
    """Loops of Algorithm 1 with Welch's variance, or the cluster-robust one from the regression's residuals.

    Of discrete outputs it is at least a share of what it would be without an effect.
    """
    m, groups = masks.shape
    if clusters is None:
        sizes = [(n1, m - n1) for n1 in masks.sum(axis=0) if min(n1, m - n1) > 1]
        welch = [(1 / a + 1 / b) ** 2 / (1 / a**2 / (a - 1) + 1 / b**2 / (b - 1)) for a, b in sizes]
        df = len(welch) / np.sum(1 / np.array(welch)) if welch else 0
    else:
        df = np.unique(clusters).size - 1
    share = min(1, 200 / m)
    floor = share * (norm.ppf(0.975) / t.ppf(0.975, df)) ** 2 if df > 0 and share >= 0.05 else 0
    influence = np.full((groups, outputs.shape[1]), np.nan)
    se = influence.copy()
    for k in range(groups):
        for j in range(outputs.shape[1]):
            y = outputs[:, j].astype(np.float64)
            is_discrete = max(np.mean(y[1:] == y[:-1]), np.mean(y[2:] == y[:-2])) > 0.1
            with_k, without_k = y[masks[:, k]], y[~masks[:, k]]
            if not with_k.size or not without_k.size:
                continue
            influence[k, j] = with_k.mean() - without_k.mean()
            if min(with_k.size, without_k.size) < 2:
                continue
            if clusters is None:
                variance = with_k.var(ddof=1) / with_k.size + without_k.var(ddof=1) / without_k.size
                without_effect = y.var(ddof=1) * (1 / with_k.size + 1 / without_k.size)
            else:
                x = masks[:, k] - masks[:, k].mean()
                residual = y - y.mean() - influence[k, j] * x
                names = np.unique(clusters)
                count = names.size
                factor = count / (count - 1) * (m - 1) / (m - 2) / (x**2).sum() ** 2
                variance, without_effect = (
                    factor * np.square([(x * values)[clusters == name].sum() for name in names]).sum()
                    for values in (residual, y - y.mean())
                )
            se[k, j] = np.sqrt(max(variance, floor * is_discrete * without_effect))
    return influence, se


def within_clusters(values, clusters):
    """Minus the mean of the cluster; models on their own, minus the mean of all such."""
    values = values.astype(np.float64)
    centred = np.empty_like(values)
    alone = np.array([np.sum(clusters == name) == 1 for name in clusters])
    for name in np.unique(clusters[~alone]):
        rows = clusters == name
        centred[rows] = values[rows] - values[rows].mean(axis=0)
    if alone.any():
        centred[alone] = values[alone] - values[alone].mean(axis=0)
    strata = np.unique(clusters[~alone]).size + bool(alone.any())
    return centred, len(values) - strata


def slow_ridge(masks, outputs, clusters=None, points=40):
    """Ridge by normal equations for every penalty, GCV from the hat matrix, and the variance by explicit averaging."""
    m, groups = masks.shape
    clusters = np.zeros(m) if clusters is None else clusters
    x, rows = within_clusters(masks, clusters)
    y, _ = within_clusters(outputs, clusters)
    relative = np.allclose(x.sum(axis=1), 0)
    basis = np.eye(groups) - (1 / groups if relative else 0)
    least, most = np.log(1e-4 / (1 - 1e-4)), np.log((1 - 1e-5) / 1e-5)
    share = 1 / (1 + np.exp(-np.linspace(least, most, points)))
    penalties = (x**2).sum() / rows * (1 - share) / share
    influence = np.empty((groups, y.shape[1]))
    se = np.empty_like(influence)
    for j in range(y.shape[1]):
        betas, gcv, diagonals, log_weight = [], [], [], []
        for h, penalty in zip(share, penalties, strict=True):
            inverse = np.linalg.inv(x.T @ x + penalty * np.eye(groups))
            hat = x @ inverse @ x.T
            beta = inverse @ x.T @ y[:, j]
            residual = y[:, j] - x @ beta
            gcv.append(rows * residual @ residual / (rows - np.trace(hat)) ** 2)
            covariance = x @ x.T / penalty + np.eye(m)
            spread = y[:, j] @ np.linalg.solve(covariance, y[:, j])
            betas.append(beta)
            diagonals.append(spread / rows * np.diag(basis @ inverse @ basis))
            determinant = np.linalg.slogdet(np.eye(groups) + x.T @ x / penalty)[1]
            log_weight.append(np.log(h * (1 - h)) - determinant / 2 - rows / 2 * np.log(spread))
        best = int(np.argmin(gcv))
        weight = np.exp(np.array(log_weight) - max(log_weight))
        weight /= weight.sum()
        moved = np.array([np.square(beta - betas[best]).mean() for beta in betas])
        scale = groups / (groups - 1) if relative else 1
        influence[:, j] = scale * betas[best]
        se[:, j] = scale * np.sqrt(weight @ (np.array(diagonals) + moved[:, None]))
    return influence, se


def slow_lds(influence, masks, outputs, bootstrap, seed):
    """Mean rank correlation and its bootstrap-t interval over masks, the resampled models laid out one by one."""
    h = len(masks)
    different = list(dict.fromkeys(map(tuple, masks.tolist())))
    models_of = [[i for i in range(h) if tuple(masks[i].tolist()) == mask] for mask in different]
    n_masks = len(different)
    predicted = rankdata(masks @ np.nan_to_num(influence), axis=0)
    actual = rankdata(outputs, axis=0)

    def mean_correlation(models):
        found = []
        for j in range(actual.shape[1]):
            x, y = predicted[models, j], actual[models, j]
            if np.ptp(x) > 0 and np.ptp(y) > 0:
                found.append(np.corrcoef(x, y)[0, 1])
        return np.mean(found) if found else np.nan

    counts = np.random.default_rng(seed).multinomial(n_masks, np.full(n_masks, 1 / n_masks), size=bootstrap)
    drawn = [[i for models, count in zip(models_of, row, strict=True) for i in models * count] for row in counts]
    resampled = np.array([mean_correlation(models) for models in drawn])
    resampled = resampled[np.isfinite(resampled)]
    value = mean_correlation(np.arange(h))
    margin = t.ppf(0.975, n_masks - 1) * np.arctanh(np.clip(resampled, -1 + 1e-6, 1 - 1e-6)).std(ddof=1)
    return value, np.tanh(np.arctanh(value) - margin), np.tanh(np.arctanh(value) + margin)


def slow_informed(masks, outputs, clusters, prior, points=40, iterations=200):
    """The regression with a prior by dense matrices: (I + X Xᵀ/λ)⁻¹ for every penalty, all centred."""
    m, groups = masks.shape
    clusters = np.zeros(m) if clusters is None else clusters
    x, rows = within_clusters(masks, clusters)
    y, _ = within_clusters(outputs, clusters)
    by_class, _ = within_clusters(prior.class_outputs, clusters)
    relative = np.allclose(x.sum(axis=1), 0)
    basis = np.linalg.svd(within_clusters(np.eye(m), clusters)[0])[0][:, :rows]
    x, y, by_class = basis.T @ x, basis.T @ y, basis.T @ by_class
    z = prior.covariates - prior.covariates.mean(axis=0)
    slopes_of = z.shape[2]
    least, most = np.log(1e-4 / (1 - 1e-4)), np.log((1 - 1e-5) / 1e-5)
    share = 1 / (1 + np.exp(-np.linspace(least, most, points)))
    penalties = (x**2).sum() / rows * (1 - share) / share
    inverses = [np.linalg.inv(np.eye(rows) + x @ x.T / penalty) for penalty in penalties]
    determinants = np.array([np.linalg.slogdet(inverse)[1] for inverse in inverses])

    uniform = np.log(share * (1 - share))
    left, values, _ = np.linalg.svd(x)
    left = left[:, : np.sum(values > 1e-6 * values[0])]

    def likelihood(residual):
        spread = np.array([residual @ inverse @ residual for inverse in inverses])
        return determinants / 2 - rows / 2 * np.log(spread), spread

    def posterior(residual, log_prior):
        log, spread = likelihood(residual)
        weight = np.exp(log_prior + log - (log_prior + log).max())
        return weight / weight.sum(), spread

    def share_prior(residuals, width, unlike):
        """What the classes have in common, spread out in log odds, or nothing."""
        unit = left.T @ residuals / np.linalg.norm(left.T @ residuals, axis=0)
        alike = unit.T @ unit
        others = len(alike) ** 2 / (alike**2).sum() - 1
        common = uniform + others * np.mean([likelihood(one)[0] for one in residuals.T], axis=0)
        log_odds = np.log(share / (1 - share))
        kernel = np.exp(-(((log_odds[:, None] - log_odds) / width) ** 2) / 2)
        spread_out = kernel @ np.exp(common - common.max())
        alone = np.exp(uniform) / np.exp(uniform).sum()
        return np.log((1 - unlike) * spread_out / spread_out.sum() + unlike * alone)

    b = np.zeros(slopes_of)
    for _ in range(iterations):
        precision, right = np.zeros((slopes_of, slopes_of)), np.zeros(slopes_of)
        residuals = np.stack([by_class[:, c] - x @ z[:, c] @ b for c in range(by_class.shape[1])], axis=1)
        of_class, of_mean = share_prior(residuals, 0.5, 0.2), share_prior(residuals, 1.0, 0.3)
        for c in range(by_class.shape[1]):
            xz = x @ z[:, c]
            weight, spread = posterior(by_class[:, c] - xz @ b, of_class)
            inner = sum(w / (q / rows) * inverse for w, q, inverse in zip(weight, spread, inverses, strict=True))
            precision += xz.T @ inner @ xz
            right += xz.T @ inner @ by_class[:, c]
        precision += (1e-8 * np.trace(precision) + 1e-12) * np.eye(slopes_of)
        if b.any():
            precision += (np.eye(slopes_of) - 1 / slopes_of) / (0.25 * max(abs(b.mean()), 1e-9)) ** 2
        b = np.linalg.solve(precision, right)
    covariance = np.linalg.inv(precision)
    ones = np.ones((groups, groups)) / groups if relative else np.zeros((groups, groups))

    def shapes(residual, weight):
        """Log evidence, means and variances under each shape, the normal first."""
        penalty = np.exp(weight @ np.log(penalties))
        inverse = np.linalg.inv(x.T @ x + penalty * np.eye(groups))
        noise = residual @ np.linalg.inv(np.eye(rows) + x @ x.T / penalty) @ residual / rows
        free = 1 - 1 / groups if relative else 1
        variance = noise * np.diag(inverse - ones / penalty)
        return slow_shapes(inverse @ x.T @ residual, variance, free * noise / penalty)

    by_one = [shapes(one, posterior(one, of_class)[0])[0] for one in residuals.T]
    unit = left.T @ residuals / np.linalg.norm(left.T @ residuals, axis=0)
    others = residuals.shape[1] ** 2 / ((unit.T @ unit) ** 2).sum() - 1
    alone = np.array([0.95, 0.05 / 3, 0.05 / 3, 0.05 / 3])
    common = alone * np.exp(others * np.mean(by_one, axis=0))
    of_one = 0.8 * common / common.sum() + 0.2 * alone
    influence, se = np.empty((groups, y.shape[1])), np.empty((groups, y.shape[1]))
    for j in range(y.shape[1]):
        zj = np.tensordot(z, prior.shares[j], (1, 0))
        residual = y[:, j] - x @ zj @ b
        is_of_class = np.count_nonzero(prior.shares[j]) == 1
        weight, spread = posterior(residual, of_class if is_of_class else of_mean)
        solvers = [np.linalg.solve(x.T @ x + penalty * np.eye(groups), x.T) for penalty in penalties]
        estimates = np.array([solver @ residual for solver in solvers])
        mean = weight @ estimates
        within = sum(
            w * q / rows * np.diag(np.linalg.inv(x.T @ x + penalty * np.eye(groups)) - ones / penalty)
            for w, q, penalty in zip(weight, spread, penalties, strict=True)
        )
        between = weight @ (estimates - mean) ** 2
        unexplained = zj - sum(w * solver for w, solver in zip(weight, solvers, strict=True)) @ x @ zj
        log_evidence, means, variances = shapes(residual, weight)
        means[0], variances[0] = mean, within
        probable = (of_one if is_of_class else alone) * np.exp(log_evidence - log_evidence.max())
        probable /= probable.sum()
        mean = probable @ means
        within = probable @ (variances + (means - mean) ** 2)
        influence[:, j] = zj @ b + mean
        se[:, j] = np.sqrt(within + between + np.einsum("kp,pq,kq->k", unexplained, covariance, unexplained))
    scale = groups / (groups - 1) if relative else 1
    return scale * influence, scale * se


def slow_shapes(mean, variance, prior_variance):
    """Log evidence less that of the normal, means and variances of effects under each shape, by summing over a grid."""
    log_evidence, means, variances = np.zeros(4), np.zeros((4, len(mean))), np.zeros((4, len(mean)))
    means[0], variances[0] = mean, variance
    scale = np.sqrt(prior_variance)
    for row, share in enumerate((0.25, 0.1, 0.04), start=1):
        large = (1 - (1 - share) / 50) / share
        grid = np.linspace(-10, 10, 40_001) * np.sqrt(large) * scale
        shape = np.logaddexp(
            np.log(share) + norm.logpdf(grid, scale=np.sqrt(large) * scale),
            np.log(1 - share) + norm.logpdf(grid, scale=np.sqrt(1 / 50) * scale),
        )
        ratio = shape - norm.logpdf(grid, scale=scale)
        for k, (m, v) in enumerate(zip(mean, variance, strict=True)):
            density = np.exp(norm.logpdf(grid, m, np.sqrt(v)) + ratio)
            total = density.sum()
            log_evidence[row] += np.log(total * (grid[1] - grid[0]))
            means[row, k] = density @ grid / total
            variances[row, k] = density @ (grid - means[row, k]) ** 2 / total
    return log_evidence, means, variances
