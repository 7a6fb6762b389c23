//! `optimux check`

use std::path::Path;

use super::say;
use crate::base::calendar;
use crate::base::clock::Clock;
use crate::boot::{self, Failure};
use crate::catalogue::Unpriced;
use crate::cluster::Shared;
use crate::connect::Apps;
use crate::gateway::lifecycle;

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
    let served = catalogue.models().iter().filter(|model| !model.deployments.is_empty());
    let models = served.count();
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
    for (model, provider) in catalogue.unpriced() {
        say(&format!(
            "{model} at {provider} has no price: {}",
            match ground.config.catalogue.unpriced {
                Unpriced::Dearest => "it costs what the dearest of its tier do",
                Unpriced::Refuse => "it is not asked",
            }
        ));
    }
    let now = Clock::System.now();
    for model in catalogue.models() {
        if let Some(ends) = lifecycle::ends_soon(model, now) {
            let instead = model.replacement.as_deref().unwrap_or("nothing");
            let ends = calendar::written_day(ends);
            say(&format!("{} ends on {ends}; {instead} answers for it then", model.id));
        }
    }
    let found = if catalogue.has_providers() {
        format!("{models} models at {} deployments", catalogue.deployment_count())
    } else {
        "no provider is configured: models will be simulated".to_owned()
    };
    say(&format!("The configuration is good: {found}; the store answers."));
    Ok(())
}
