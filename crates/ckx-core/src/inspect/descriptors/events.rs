//! Epoll sets, inotify instances and fanotify groups.

use ckx_criu::ByteOrder;
use ckx_criu::display::split_dev;
use ckx_criu::typed::messages::{
    EventpollFileEntry, FanotifyFileEntry, FanotifyMarkEntry, FhEntry, InotifyFileEntry,
};

use super::file::{Epoll, EpollTarget, Fanotify, Handle, Inotify, Mark, Watch};
use crate::inspect::flags::{
    EPOLL, FANOTIFY, FANOTIFY_INIT, FANOTIFY_MARK, INOTIFY, OpenFlags, name_of, names,
};
use crate::{Address, Name};

pub(super) fn epoll(set: &EventpollFileEntry) -> Epoll {
    let targets = set.tfd.iter().map(|target| EpollTarget {
        fd: target.tfd,
        events: names(EPOLL, target.events.into()),
        data: Address(target.data),
        inode: target.inode,
    });
    Epoll { targets: targets.collect() }
}

pub(super) fn inotify(instance: &InotifyFileEntry, order: ByteOrder) -> Inotify {
    let watches = instance.wd.iter().map(|watch| Watch {
        wd: watch.wd,
        events: names(INOTIFY, watch.mask.into()),
        file: Handle {
            inode: Some(watch.i_ino),
            device: device(watch.s_dev),
            ..handle(&watch.f_handle, order)
        },
    });
    Inotify { watches: watches.collect() }
}

pub(super) fn fanotify(group: &FanotifyFileEntry, flags: OpenFlags, order: ByteOrder) -> Fanotify {
    Fanotify {
        flags: names(FANOTIFY_INIT, group.faflags.into()),
        event_flags: flags.names(group.evflags),
        marks: group.mark.iter().map(|each| mark(each, order)).collect(),
    }
}

fn mark(mark: &FanotifyMarkEntry, order: ByteOrder) -> Mark {
    let mut file = Handle::default();
    if let Some(inode) = &mark.ie {
        file = Handle { inode: Some(inode.i_ino), ..handle(&inode.f_handle, order) };
    }
    if let Some(mount) = &mark.me {
        file.mount_id = Some(mount.mnt_id);
        file.path = mount.path.as_ref().map(Name::from);
    }
    file.device = device(mark.s_dev);
    Mark {
        kind: name_of(&[(1, "inode"), (2, "mount")], mark.r#type.cast_unsigned()),
        events: names(FANOTIFY, mark.mask.into()),
        ignored: names(FANOTIFY, mark.ignored_mask.into()),
        flags: names(FANOTIFY_MARK, mark.mflags.into()),
        file,
    }
}

fn handle(handle: &FhEntry, order: ByteOrder) -> Handle {
    use std::fmt::Write as _;
    let bytes = handle.handle.iter().flat_map(|word| match order {
        ByteOrder::Little => word.to_le_bytes(),
        ByteOrder::Big => word.to_be_bytes(),
    });
    let mut text = String::new();
    for byte in bytes.take(handle.bytes as usize) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Handle {
        path: handle.path.as_ref().filter(|path| !path.is_empty()).map(Name::from),
        mount_id: handle.mnt_id,
        handle: (!text.is_empty()).then_some(text),
        ..Handle::default()
    }
}

fn device(number: u32) -> String {
    let (major, minor) = split_dev(number.into());
    format!("{major}:{minor}")
}
