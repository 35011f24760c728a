//! The network of a cluster: VPC, subnets, ways out.

use std::time::Duration;

use aws_sdk_ec2::types::{AttributeBooleanValue, DomainType, ResourceType, Tag, TagSpecification, VpcEndpointType};

use super::{
    client::{Doing, Failure},
    cluster::EksCluster,
    look::{self, filter},
    make::{Made, Tags},
    task::{RouteTable, Subnet},
    wait::Look,
};
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
};

const NAT_WITHIN: Duration = Duration::from_secs(600);
pub const EVERYWHERE: &str = "0.0.0.0/0";
const TAKEN: [&str; 2] = ["Resource.AlreadyAssociated", "RouteAlreadyExists"];

fn specification(kind: ResourceType, tags: Tags) -> TagSpecification {
    let tags = tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
}

fn no_id(what: &str) -> Failure {
    Failure::new(format!("AWS gave {what} no id"), super::client::Outcome::Unknown)
}

impl EksCluster {
    pub async fn make_vpc(&self, cidr: &str) -> Result<Made> {
        let (aws, name) = (&self.aws, self.name.as_str());
        let find = || async { Ok(look::bare_vpc(aws, name).await?.map(|(id, _)| id)) };
        let make = |tags: Tags| async move {
            let call = aws.ec2_once.create_vpc().cidr_block(cidr);
            let answer = call.tag_specifications(specification(ResourceType::Vpc, tags)).send().await;
            answer.map_err(Failure::of)?.vpc.and_then(|vpc| vpc.vpc_id).ok_or_else(|| no_id("the VPC"))
        };
        let made = self.ensure("vpc", find, make).await?;
        let yes = AttributeBooleanValue::builder().value(true).build();
        let call = aws.ec2.modify_vpc_attribute().vpc_id(&made.id).enable_dns_hostnames(yes);
        let doing = "having the VPC give names to hosts";
        self.once_shown(|| call.clone().send()).await.map_err(|failure| failure.error(doing))?;
        Ok(made)
    }

    pub async fn make_gateway(&self) -> Result<Made> {
        let (aws, name) = (&self.aws, self.name.as_str());
        let find = || async { Ok(look::gateway(aws, name).await?.map(|gateway| gateway.id)) };
        let make = |tags: Tags| async move {
            let call = aws.ec2_once.create_internet_gateway();
            let answer = call.tag_specifications(specification(ResourceType::InternetGateway, tags)).send().await;
            let made = answer.map_err(Failure::of)?.internet_gateway;
            made.and_then(|gateway| gateway.internet_gateway_id).ok_or_else(|| no_id("the internet gateway"))
        };
        let made = self.ensure("internet-gateway", find, make).await?;
        let vpc = self.id("vpc").await?;
        let call = aws.ec2.attach_internet_gateway().internet_gateway_id(&made.id).vpc_id(vpc);
        let answer = self.once_shown(|| call.clone().send()).await;
        unless(answer, &TAKEN, "attaching the internet gateway")?;
        Ok(made)
    }

    pub async fn make_subnet(&self, subnet: &Subnet) -> Result<Made> {
        let (aws, name, wanted) = (&self.aws, self.name.as_str(), subnet.name.as_str());
        let vpc = &self.id("vpc").await?;
        let find = || async { Ok(look::subnets(aws, name).await?.remove(wanted).map(|subnet| subnet.id)) };
        let make = |mut tags: Tags| async move {
            // By which load balancers find the subnets that they may stand in.
            let role = if subnet.public { "kubernetes.io/role/elb" } else { "kubernetes.io/role/internal-elb" };
            tags.push((role.to_owned(), "1".to_owned()));
            let call = aws.ec2_once.create_subnet().vpc_id(vpc).cidr_block(&subnet.cidr);
            let call = call.availability_zone_id(&subnet.zone);
            let call = call.tag_specifications(specification(ResourceType::Subnet, tags));
            let answer = self.once_shown(|| call.clone().send()).await;
            answer?.subnet.and_then(|it| it.subnet_id).ok_or_else(|| no_id("the subnet"))
        };
        let made = self.ensure(&format!("subnet-{wanted}"), find, make).await?;
        if subnet.addresses {
            let yes = AttributeBooleanValue::builder().value(true).build();
            let call = aws.ec2.modify_subnet_attribute().subnet_id(&made.id).map_public_ip_on_launch(yes);
            let doing = "having a subnet give public addresses";
            self.once_shown(|| call.clone().send()).await.map_err(|failure| failure.error(doing))?;
        }
        Ok(made)
    }

    pub async fn make_table(&self, table: &RouteTable) -> Result<Made> {
        let (aws, name) = (&self.aws, self.name.as_str());
        let vpc = &self.id("vpc").await?;
        let seen = look::tables(aws, name).await?.remove(&table.name);
        let find = || async { Ok(look::tables(aws, name).await?.remove(&table.name).map(|table| table.id)) };
        let make = |tags: Tags| async move {
            let call = aws.ec2_once.create_route_table().vpc_id(vpc);
            let call = call.tag_specifications(specification(ResourceType::RouteTable, tags));
            let made = self.once_shown(|| call.clone().send()).await?.route_table;
            made.and_then(|table| table.route_table_id).ok_or_else(|| no_id("the route table"))
        };
        let part = format!("route-table-{}", table.name);
        let made = match &seen {
            Some(seen) => self.known(&part, seen.id.clone(), false),
            None => self.make_missing(&part, find, make).await?,
        };
        let has = |id: &String| seen.as_ref().is_some_and(|seen| seen.associated.contains_key(id));
        if table.internet && seen.as_ref().is_none_or(|seen| seen.way_out.is_none()) {
            let gateway = self.id("internet-gateway").await?;
            let call = aws.ec2.create_route().route_table_id(&made.id).destination_cidr_block(EVERYWHERE);
            let call = call.gateway_id(gateway);
            let answer = self.once_shown(|| call.clone().send()).await;
            unless(answer, &TAKEN, "making the route to the internet")?;
        }
        for subnet in &table.subnets {
            let subnet = self.id(&format!("subnet-{subnet}")).await?;
            if !has(&subnet) {
                let call = aws.ec2.associate_route_table().route_table_id(&made.id).subnet_id(&subnet);
                match self.once_shown(|| call.clone().send()).await {
                    Ok(_) => {}
                    Err(failure) if failure.is(&TAKEN) => self.check_table(&table.name, &subnet).await?,
                    Err(failure) => return Err(failure.error("giving a subnet its route table")),
                }
            }
        }
        Ok(made)
    }

    /// Fails where a subnet has another route table: its nodes would have no way out, or one that nobody asked for.
    async fn check_table(&self, wanted: &str, subnet: &str) -> Result<()> {
        let table = look::tables(&self.aws, &self.name).await?.remove(wanted);
        if table.is_some_and(|table| table.associated.contains_key(subnet)) {
            return Ok(());
        }
        Err(Error::new(Kind::Preflight, format!("the subnet {subnet} has another route table than {wanted}"))
            .cause("an earlier run was asked for another way out")
            .hint("with the same --nat as then `up` goes on from there; `stackctl down` and `up` make it anew"))
    }

    pub async fn make_endpoint(&self, tables: &[String]) -> Result<Made> {
        let (aws, name) = (&self.aws, self.name.as_str());
        let vpc = &self.id("vpc").await?;
        let mut ids = Vec::new();
        for table in tables {
            ids.push(self.id(&format!("route-table-{table}")).await?);
        }
        let ids = &ids;
        let find = || async { look::endpoint(aws, name).await };
        let make = |tags: Tags| async move {
            let call = aws.ec2_once.create_vpc_endpoint().vpc_id(vpc).vpc_endpoint_type(VpcEndpointType::Gateway);
            let call = call.service_name(format!("com.amazonaws.{}.s3", aws.region));
            let call = call.set_route_table_ids(Some(ids.clone()));
            let call = call.tag_specifications(specification(ResourceType::VpcEndpoint, tags));
            let made = self.once_shown(|| call.clone().send()).await?.vpc_endpoint;
            made.and_then(|endpoint| endpoint.vpc_endpoint_id).ok_or_else(|| no_id("the endpoint"))
        };
        self.ensure("s3-endpoint", find, make).await
    }

    /// With its address; until it forwards.
    pub async fn make_nat(&self, number: &str, subnet: &str, progress: &Progress) -> Result<Made> {
        let (aws, name) = (&self.aws, self.name.as_str());
        let subnet = &self.id(&format!("subnet-{subnet}")).await?;
        let find = || async { Ok(look::addresses(aws, name).await?.remove(number)) };
        let make = |tags: Tags| async move {
            let call = aws.ec2_once.allocate_address().domain(DomainType::Vpc);
            let answer = call.tag_specifications(specification(ResourceType::ElasticIp, tags)).send().await;
            answer.map_err(Failure::of)?.allocation_id.ok_or_else(|| no_id("the address"))
        };
        let address = &self.ensure(&format!("address-{number}"), find, make).await?;
        let what = format!("the NAT gateway {number}");
        // One that is on its way out still has the address.
        let wait = self.wait(&what, "2 minutes", NAT_WITHIN, progress);
        let find = || {
            wait.until(|| async {
                Ok(match look::nats(aws, name).await?.remove(number) {
                    Some(nat) if nat.state == "deleting" => Look::NotYet(nat.state),
                    found => Look::Done(found.map(|nat| nat.id)),
                })
            })
        };
        let make = |tags: Tags| async move {
            let call = aws.ec2_once.create_nat_gateway().subnet_id(subnet).allocation_id(&address.id);
            let call = call.tag_specifications(specification(ResourceType::Natgateway, tags));
            let made = self.once_shown(|| call.clone().send()).await?.nat_gateway;
            made.and_then(|nat| nat.nat_gateway_id).ok_or_else(|| no_id("the NAT gateway"))
        };
        let made = self.ensure(&format!("nat-{number}"), find, make).await?;
        let wait = self.wait(&what, "2 minutes", NAT_WITHIN, progress);
        wait.until(|| async {
            let answer = aws.ec2.describe_nat_gateways().filter(filter("nat-gateway-id", [made.id.as_str()]));
            let found = answer.send().await.doing("looking at the NAT gateway")?.nat_gateways.unwrap_or_default();
            let Some(nat) = found.into_iter().next() else { return Ok(Look::NotYet("not to be seen".to_owned())) };
            match nat.state().map(|state| state.as_str()) {
                Some("available") => Ok(Look::Done(())),
                Some("failed") => Err(Error::new(Kind::Platform, format!("AWS cannot make {what}"))
                    .cause(nat.failure_message().unwrap_or("it does not say why"))
                    .hint("run the same command again: it makes another one")),
                Some(state @ ("deleting" | "deleted")) => {
                    Err(Error::new(Kind::Platform, format!("{what} is {state}: somebody else has removed it"))
                        .hint("run the same command again: it makes another one"))
                }
                state => Ok(Look::NotYet(state.unwrap_or("unknown").to_owned())),
            }
        })
        .await?;
        Ok(made)
    }

    /// Replaces one that leads elsewhere, such as to a gateway that is gone.
    pub async fn make_nat_route(&self, table: &str, nat: &str) -> Result<bool> {
        let aws = &self.aws;
        let nat = self.id(&format!("nat-{nat}")).await?;
        let seen = look::tables(aws, &self.name).await?.remove(table);
        let way_out = seen.as_ref().and_then(|table| table.way_out.clone());
        if way_out.as_ref() == Some(&nat) {
            return Ok(false);
        }
        let table = self.id(&format!("route-table-{table}")).await?;
        if way_out.is_some() {
            let call = aws.ec2.replace_route().route_table_id(table).destination_cidr_block(EVERYWHERE);
            let call = call.nat_gateway_id(nat);
            let doing = "leading private subnets to another NAT gateway";
            self.once_shown(|| call.clone().send()).await.map_err(|failure| failure.error(doing))?;
        } else {
            let call = aws.ec2.create_route().route_table_id(table).destination_cidr_block(EVERYWHERE);
            let call = call.nat_gateway_id(nat);
            let answer = self.once_shown(|| call.clone().send()).await;
            unless(answer, &TAKEN, "leading private subnets to the NAT gateway")?;
        }
        Ok(true)
    }
}

/// Done already, if AWS says one of these.
pub fn unless<T>(answer: std::result::Result<T, Failure>, done: &[&str], doing: &str) -> Result<()> {
    match answer {
        Ok(_) => Ok(()),
        Err(failure) if failure.is(done) => Ok(()),
        Err(failure) => Err(failure.error(doing)),
    }
}
