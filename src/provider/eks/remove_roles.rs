//! Roles on the way back to nothing, with what somebody has given them, and the instance profiles that hold them.

use super::{
    client::{Failure, unless_absent},
    cluster::EksCluster,
    look,
    network::unless,
    remove::{GONE, removed},
    task::Role,
};
use crate::{
    error::{Error, Kind, Result},
    object::Removed,
};

impl EksCluster {
    /// The profile that EKS has made for nodes stays when the cluster goes, and holds the role.
    pub(super) async fn remove_roles(&self) -> Result<Vec<Removed>> {
        let iam = &self.aws.iam;
        let mut gone = Vec::new();
        for role in Role::ALL {
            let name = look::role_name(&self.name, role);
            let Some(found) = look::role(&self.aws, &self.name, role).await? else { continue };
            let doing = format!("removing the role {name}");
            let answer = iam.list_instance_profiles_for_role().role_name(&name).send().await;
            let profiles = unless_absent(answer, &GONE, &doing)?.map(|answer| answer.instance_profiles);
            for profile in profiles.unwrap_or_default() {
                let profile = profile.instance_profile_name;
                if !profile.starts_with("eks") {
                    let error =
                        Error::new(Kind::Refused, format!("the instance profile {profile} holds the role {name}"));
                    return Err(error
                        .cause("neither stackctl nor EKS has made that profile")
                        .hint("take the role out of it yourself, then run the same command again"));
                }
                let call = iam.remove_role_from_instance_profile().instance_profile_name(&profile).role_name(&name);
                unless(call.send().await.map_err(Failure::of), &GONE, &doing)?;
                gone.push(self.remove_profile(profile).await?);
            }
            // Also those that somebody has given to it since.
            for arn in found.attached {
                let answer = iam.detach_role_policy().role_name(&name).policy_arn(arn).send().await;
                unless(answer.map_err(Failure::of), &GONE, &doing)?;
            }
            let delete = || async { iam.delete_role().role_name(&name).send().await.map_err(Failure::of) };
            let mut answer = delete().await;
            if answer.as_ref().is_err_and(|failure| failure.is(&["DeleteConflict"])) {
                self.remove_inline_policies(&name).await?;
                answer = delete().await;
            }
            unless(answer, &GONE, &doing)?;
            gone.push(removed("role", name));
        }
        // One that a removal which was stopped has left without its role.
        for profile in look::profiles(&self.aws, &self.name).await? {
            gone.push(self.remove_profile(profile).await?);
        }
        Ok(gone)
    }

    /// Those that somebody has written into one of our roles: they are nothing without it.
    async fn remove_inline_policies(&self, role: &str) -> Result<()> {
        let iam = &self.aws.iam;
        let doing = format!("removing the policies in the role {role}");
        let answer = iam.list_role_policies().role_name(role).send().await;
        for policy in unless_absent(answer, &GONE, &doing)?.map(|answer| answer.policy_names).unwrap_or_default() {
            let answer = iam.delete_role_policy().role_name(role).policy_name(policy).send().await;
            unless(answer.map_err(Failure::of), &GONE, &doing)?;
        }
        Ok(())
    }

    async fn remove_profile(&self, profile: String) -> Result<Removed> {
        let answer = self.aws.iam.delete_instance_profile().instance_profile_name(&profile).send().await;
        unless(answer.map_err(Failure::of), &GONE, &format!("removing the instance profile {profile}"))?;
        Ok(removed("instance profile", profile))
    }
}
