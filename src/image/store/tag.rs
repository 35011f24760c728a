//! Further names for images of the engine.

use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures::TryStreamExt;

use crate::error::Result;
use crate::image::{Engine, auth::credentials, reference::Reference, store::remote::Refusal};

fn split(reference: &str) -> (&str, &str) {
    reference.rsplit_once(':').unwrap_or((reference, "latest"))
}

/// Gives the image `from` the name `to` too.
pub async fn add(engine: &Engine, from: &str, to: &str) -> Result<()> {
    let (repository, tag) = split(to);
    let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    let tagged = engine.docker.tag_image(from, Some(options)).await;
    tagged.map_err(|error| engine.failed(&format!("naming the image {from} {to}"), &error))
}

/// Takes a name away; the image stays as long as it has another one.
pub async fn remove(engine: &Engine, name: &str) -> Result<()> {
    let options = RemoveImageOptionsBuilder::default().noprune(true).build();
    match engine.docker.remove_image(name, Some(options), None).await {
        Ok(_) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(error) => Err(engine.failed(&format!("taking the name {name} away"), &error)),
    }
}

/// References of all images that carry a label, each with its value.
pub async fn labelled(engine: &Engine, label: &str) -> Result<Vec<(String, String)>> {
    let filters = std::collections::HashMap::from([("label", vec![label])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let images = engine.docker.list_images(Some(options)).await;
    let images = images.map_err(|error| engine.failed("listing images", &error))?;
    let named = images.into_iter().flat_map(|image| {
        let value = image.labels.get(label).cloned().unwrap_or_default();
        image.repo_tags.into_iter().map(move |name| (name, value.clone()))
    });
    Ok(named.collect())
}

/// Makes sure that the engine has the image `local`, pulling it as `remote` where it does not.
pub async fn ensure_local(engine: &Engine, local: &str, remote: &str) -> Result<()> {
    match engine.docker.inspect_image(local).await {
        Ok(_) => return Ok(()),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(engine.failed(&format!("looking for the image {local}"), &error)),
    }
    let options = CreateImageOptionsBuilder::default().from_image(remote).build();
    let (credentials, trouble) = credentials::for_pull(&Reference::parse(remote).host).await;
    let pulled = engine.docker.create_image(Some(options), None, credentials).try_collect::<Vec<_>>().await;
    pulled.map_err(|error| {
        let failed = engine.failed(&format!("pulling the image {remote}"), &error);
        credentials::add_trouble(failed, trouble.as_ref())
    })?;
    add(engine, remote, local).await
}

/// The digest that another registry has under a reference, asked through the engine with docker's credentials.
pub async fn remote_digest(engine: &Engine, reference: &str) -> Result<Option<String>> {
    let credentials = credentials::find(&Reference::parse(reference).host).await?;
    match engine.docker.inspect_registry_image(reference, credentials).await {
        Ok(found) => Ok(found.descriptor.digest),
        // Docker Hub and others answer 401 or 403 for a repository that is not there yet; a push tells which it is.
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 401 | 403 | 404, .. }) => Ok(None),
        // Older engines answer 500 whatever it was, and say it in words.
        Err(error)
            if Refusal::in_words_of_the_engine(&error.to_string(), true).is_some_and(|refusal| refusal.is_of_us()) =>
        {
            Ok(None)
        }
        Err(error) => Err(engine.failed(&format!("asking the registry for {reference}"), &error)),
    }
}
