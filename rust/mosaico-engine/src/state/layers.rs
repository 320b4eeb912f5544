//! Layers: named descriptions that clients store on the server. Nothing else refers to them.
//!
//! One small record in the store contains all of them and is replaced as a whole, so each change is atomic;
//! the list in memory is derived from it.

use std::sync::Arc;

use mosaico_catalog::Session;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::layers_file;
use mosaico_storage::format::records::{LayerRecord, LayersRecord};
use mosaico_storage::objects::Store;
use mosaico_types::{ErrorCode, LayerName, now_ns};
use mosaico_wire::action::Layer;
use object_store::UpdateVersion;
use tokio::sync::Mutex;

/// The layer that every start ensures.
const DEFAULT: &str = "default";
const DEFAULT_DESCRIPTION: &str = "Default layer, made by the server at start";

const MAX_LAYERS: usize = 1000;
const MAX_DESCRIPTION_BYTES: usize = 4096;

/// The layers, and the version of their record; `None`: there is no record.
type Known = (Vec<LayerRecord>, Option<UpdateVersion>);

/// All layers of a store.
#[derive(Debug)]
pub struct Layers {
    store: Store,
    /// `None` while the result of a change is unknown.
    list: Mutex<Option<Known>>,
    /// The session of the locks, if other daemons may change the record.
    others: Option<Arc<Session>>,
}

impl Layers {
    /// Reads the store's record, and adds the default layer if it is missing; the next change stores it.
    pub async fn open(store: Store, others: Option<Arc<Session>>) -> Result<Self> {
        let list = Mutex::new(Some(load(&store).await?));
        Ok(Self { store, list, others })
    }

    /// In the order of creation.
    pub async fn list(&self) -> Result<Vec<Layer>> {
        let layer = |layer: &LayerRecord| Layer {
            name: layer.name.to_string(),
            description: layer.description.clone(),
        };
        let mut list = self.list.lock().await;
        Ok(self.known(&mut list).await?.0.iter().map(layer).collect())
    }

    /// Adds a layer.
    pub async fn create(&self, name: LayerName, description: String) -> Result<()> {
        check_description(&description)?;
        self.change(|list| {
            check_free(list, &name)?;
            if list.len() >= MAX_LAYERS {
                let text = format!("there are {MAX_LAYERS} layers already; delete one first");
                return Err(Error::Refused(ErrorCode::TooMany, text));
            }
            list.push(LayerRecord { name, description, created_ns: now_ns() });
            Ok(())
        })
        .await
    }

    /// Changes the name and the description of a layer; the name may stay the same.
    pub async fn update(&self, from: &LayerName, to: LayerName, description: String) -> Result<()> {
        check_description(&description)?;
        self.change(|list| {
            let at = find(list, from)?;
            if *from != to {
                check_free(list, &to)?;
            }
            list[at] = LayerRecord { name: to, description, created_ns: list[at].created_ns };
            Ok(())
        })
        .await
    }

    /// Removes a layer; the next start adds the default layer again.
    pub async fn delete(&self, name: &LayerName) -> Result<()> {
        self.change(|list| {
            list.remove(find(list, name)?);
            Ok(())
        })
        .await
    }

    /// Adds those layers of another store whose names are free.
    pub async fn add(&self, others: Vec<LayerRecord>) -> Result<()> {
        self.change(|list| {
            for layer in others {
                if check_free(list, &layer.name).is_ok() && list.len() < MAX_LAYERS {
                    list.push(layer);
                }
            }
            Ok(())
        })
        .await
    }

    async fn change(&self, change: impl FnOnce(&mut Vec<LayerRecord>) -> Result<()>) -> Result<()> {
        let mut list = self.list.lock().await;
        let _alone = match &self.others {
            Some(session) => Some(session.lock("layers").await?),
            None => None,
        };
        let (mut layers, version) = self.known(&mut list).await?.clone();
        change(&mut layers)?;
        let owner_epoch = self.store.fence().epoch();
        let record = LayersRecord { layers, owner_epoch };
        // The write may fail before or after the record was replaced, and this call may be cancelled.
        *list = None;
        let version = self.store.replace_json(&layers_file(), &record, version.as_ref()).await?;
        *list = Some((record.layers, version));
        Ok(())
    }

    async fn known<'a>(&self, list: &'a mut Option<Known>) -> Result<&'a mut Known> {
        let known = match list.take().filter(|_| self.others.is_none()) {
            Some(known) => known,
            None => load(&self.store).await?,
        };
        Ok(list.insert(known))
    }
}

async fn load(store: &Store) -> Result<Known> {
    let found = store.get_json_versioned::<LayersRecord>(&layers_file()).await?;
    let (mut list, version) = match found {
        Some((record, version)) => (record.layers, Some(version)),
        None => (Vec::new(), None),
    };
    let name = LayerName::parse(DEFAULT)?;
    if find(&list, &name).is_err() {
        list.push(LayerRecord { name, description: DEFAULT_DESCRIPTION.into(), created_ns: now_ns() });
    }
    Ok((list, version))
}

fn find(list: &[LayerRecord], name: &LayerName) -> Result<usize> {
    let at = list.iter().position(|layer| layer.name == *name);
    at.ok_or_else(|| Error::LayerNotFound(name.to_string()))
}

fn check_free(list: &[LayerRecord], name: &LayerName) -> Result<()> {
    match find(list, name) {
        Ok(_) => Err(Error::LayerExists(name.to_string())),
        Err(_) => Ok(()),
    }
}

fn check_description(description: &str) -> Result<()> {
    if description.len() <= MAX_DESCRIPTION_BYTES {
        return Ok(());
    }
    let bytes = description.len();
    let text = format!("the description has {bytes} bytes; at most {MAX_DESCRIPTION_BYTES} are allowed");
    Err(Error::Refused(ErrorCode::TooLarge, text))
}
