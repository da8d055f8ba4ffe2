//! The pod manifest of a container with mounts: what it holds, what is left open, what people are told.

use ckx_testkit::Ckx;

const SPEC: &str = r##"{
  "annotations": {
    "io.container.manager": "cri-o",
    "io.kubernetes.container.name": "app",
    "io.kubernetes.pod.name": "app-0",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.container.terminationMessagePath": "/dev/my-log"
  },
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/etc/hosts", "type": "bind", "source": "/var/lib/kubelet/pods/1/etc-hosts", "options": ["rbind"]},
    {"destination": "/dev/my-log", "type": "bind", "source": "/var/lib/kubelet/pods/1/containers/app/7", "options": ["rbind"]},
    {"destination": "/var/run/secrets/kubernetes.io/serviceaccount", "type": "bind",
     "source": "/var/lib/kubelet/pods/1/volumes/kubernetes.io~projected/kube-api-access-x", "options": ["rbind", "ro"]},
    {"destination": "/cache", "type": "bind",
     "source": "/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/cache", "options": ["rbind", "rw"]},
    {"destination": "/etc/app", "type": "bind",
     "source": "/var/lib/kubelet/pods/1/volumes/kubernetes.io~configmap/settings", "options": ["rbind", "ro"]},
    {"destination": "/evil\nkind: Secret\u001b[31m", "type": "bind", "source": "/srv", "options": ["bind"]}
  ]
}"##;

const EXPECTED: &str = r##"# Restores the checkpoint in reg.example/app:1.
# - the pod that was checkpointed must be gone, or this one must have another name
# - the node needs CRIU and a kernel and processor that can do what the old ones could
# - CRI-O does not pull the base image of the container: it must be on the node
# Mounts of the container, which the pod must declare:
# - /cache: the volume `cache`, an empty directory; what was in it does not come along
# - /etc/app: the volume `settings`, a config map; which one is to be filled in FILL IN
# - /evil\x0akind: Secret\x1b[31m: `/srv` of the old node; the new one must have it too
apiVersion: v1
kind: Pod
metadata:
  name: app-0
  namespace: shop
spec:
  containers:
  - name: app
    image: reg.example/app:1
    volumeMounts:
    - name: cache
      mountPath: /cache
    - name: settings
      mountPath: /etc/app
      readOnly: true
    - name: volume
      mountPath: "/evil\nkind: Secret\e[31m"
  volumes:
  - name: cache
    emptyDir: {}
  - name: settings
    configMap:
      name: ""
  - name: volume
    hostPath:
      path: /srv
"##;

#[test]
fn what_a_pod_must_declare_is_written_and_told() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name).display().to_string();
    std::fs::create_dir(at("source")).expect("made");
    std::fs::write(at("source/spec.dump"), SPEC).expect("written");
    let target = format!("oci:{}:reg.example/app:1", at("layout"));
    let arguments = ["repack", "--restore-yaml", &at("pod.yaml"), &at("source"), "-o", &target];
    let output = Ckx::new(env!("CARGO_BIN_EXE_ckx")).args(arguments).run();
    assert_eq!(output.code, Some(0), "{}", output.stderr());
    assert_eq!(std::fs::read_to_string(at("pod.yaml")).expect("written"), EXPECTED);
    let told = output.stderr();
    for part in [
        "note: the pod must declare the mount /etc/app: the volume `settings`, a config map",
        "note: the pod must declare the mount /cache",
        r"note: the pod must declare the mount /evil\x0akind: Secret\x1b[31m",
        "has 1 volume to be filled in",
    ] {
        assert!(told.contains(part), "{part}\nis not in\n{told}");
    }
}
