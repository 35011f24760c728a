//! stackctl: brings a stack of microservices to life on Kubernetes.
#![allow(dead_code)]

mod cluster;
mod doctor;
mod error;
mod event;
mod image;
mod kube;
mod proof;
mod report;
mod stack;
mod state;

fn main() {}
