//! `optimux check`

use std::path::Path;

use super::say;
use crate::base::clock::Clock;
use crate::boot::{self, Failure};
use crate::cluster::Shared;
use crate::connect::Apps;

pub async fn run(config: Option<&Path>) -> Result<(), Failure> {
    let ground = boot::ground(config).await?;
    let (files, _) = boot::files(&ground.store).await?;
    let catalogue = boot::catalogue(&ground.config, files, 0)?;
    boot::predictor(&ground.config.router, &catalogue)?;
    ground.store.ping().await?;
    if let Some(url) = &ground.config.redis.url {
        let redis = Shared::open(url, Clock::System);
        let redis = redis.map_err(|why| format!("redis.url cannot be used: {why}"))?;
        redis.ping().await.map_err(|why| format!("Redis does not answer at redis.url: {why}"))?;
    }
    let models = catalogue.models().len();
    let mut faults = Vec::new();
    let here = tokio::runtime::Handle::current();
    faults.extend(Apps::open(&ground.config.connect.apps, here).err());
    if let Some(plan) = &ground.config.signin.register
        && ground.plans.get(plan).is_none()
    {
        faults.push(format!("signin.register: there is no plan '{plan}'"));
    }
    for name in [&ground.config.memory.embedding_model, &ground.config.memory.extraction_model] {
        if let Some(name) = name
            && models > 0
            && catalogue.model(name).is_none()
        {
            faults.push(format!("memory: there is no model '{name}'"));
        }
    }
    for (model, chain) in &ground.config.routes.fallback {
        for name in std::iter::once(model).chain(chain) {
            if models > 0 && catalogue.model(name).is_none() {
                faults.push(format!("routes.fallback: there is no model '{name}'"));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults.join("\n").into());
    }
    let found = if models == 0 {
        "no provider is configured: models will be simulated".to_owned()
    } else {
        format!("{models} models at {} deployments", catalogue.deployment_count())
    };
    say(&format!("The configuration is good: {found}; the store answers."));
    Ok(())
}
