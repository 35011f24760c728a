"""ECR and its registry: tokens, pushes, pulls, and tags that cannot change."""

import base64
import hashlib
import http.client
import json

from .account import AwsTest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class RegistryTest(AwsTest):
    def setUp(self):
        super().setUp()
        made = self.ecr.create_repository(
            repositoryName="stackctl/hello",
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
        )
        self.uri = made["repository"]["repositoryUri"]

    def _login(self, client=None):
        data = (client or self.ecr).get_authorization_token()["authorizationData"][0]
        self.assertEqual(data["proxyEndpoint"], "http://" + self.world.about["registry"])
        return {"Authorization": "Basic " + data["authorizationToken"]}

    def _ask(self, method, path, headers, body=None, chunked=False):
        connection = http.client.HTTPConnection(self.world.about["registry"], timeout=20)
        try:
            content = iter([body[:3], body[3:]]) if chunked else body
            connection.request(method, path, content, headers, encode_chunked=chunked)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def _blob(self, content, login):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        status, headers, _ = self._ask("POST", "/v2/stackctl/hello/blobs/uploads/", login)
        self.assertEqual(status, 202)
        # As docker does: the content in chunks, then an empty PUT with the digest.
        chunks = login | {"Transfer-Encoding": "chunked", "Content-Type": "application/octet-stream"}
        status, headers, _ = self._ask("PATCH", headers["Location"], chunks, content, chunked=True)
        self.assertEqual(status, 202)
        status, _, _ = self._ask("PUT", f"{headers['Location']}?digest={digest}", login, b"")
        self.assertEqual(status, 201)
        return digest

    def _push(self, tag, content, login):
        digest = self._blob(content, login)
        described = {"mediaType": "application/octet-stream", "digest": digest, "size": len(content)}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": [described]}
        return self._ask(
            "PUT",
            f"/v2/stackctl/hello/manifests/{tag}",
            login | {"Content-Type": MANIFEST},
            json.dumps(manifest).encode(),
        )[0]

    def test_push_and_pull(self):
        self.assertEqual(self.uri, self.world.about["registry"] + "/stackctl/hello")
        login = self._login()
        self.assertEqual(self._push("v1", b"a layer", login), 201)
        status, _, body = self._ask("GET", "/v2/stackctl/hello/manifests/v1", login | {"Accept": MANIFEST})
        self.assertEqual(status, 200)
        digest = json.loads(body)["layers"][0]["digest"]
        self.assertEqual(self._ask("GET", f"/v2/stackctl/hello/blobs/{digest}", login)[2], b"a layer")
        images = self.ecr.describe_images(repositoryName="stackctl/hello")["imageDetails"]
        self.assertEqual(images[0]["imageTags"], ["v1"])
        self.assertEqual(self._push("v1", b"another layer", login), 400)
        self.assertEqual(self._push("v1", b"a layer", login), 400)
        self.assertEqual(self._push("v2", b"a layer", login), 201)
        self.refused("RepositoryNotEmptyException", self.ecr.delete_repository, repositoryName="stackctl/hello")
        self.ecr.delete_repository(repositoryName="stackctl/hello", force=True)

    def test_token_is_demanded_and_ends(self):
        wrong = {"Authorization": "Basic " + base64.b64encode(b"AWS:wrong").decode()}
        for headers in ({}, wrong):
            status, answered, _ = self._ask("GET", "/v2/", headers)
            self.assertEqual(status, 401)
            self.assertIn("Basic", answered["WWW-Authenticate"])
        self.assertEqual(self._ask("GET", "/v2/", self._login())[0], 200)
        self.control("POST", "/settings", {"ecr_token_seconds": 0})
        self.assertEqual(self._ask("GET", "/v2/", self._login())[0], 401)

    def test_accounts_are_apart(self):
        other = self.world.client("ecr", other=True)
        self.assertEqual(other.describe_repositories()["repositories"], [])
        self.assertEqual(self._push("v1", b"a layer", self._login()), 201)
        status, _, _ = self._ask("GET", "/v2/stackctl/hello/manifests/v1", self._login(other))
        self.assertEqual(status, 404)
