pub mod config_file;
pub mod credentials;
pub mod docker_config;
pub mod login;
