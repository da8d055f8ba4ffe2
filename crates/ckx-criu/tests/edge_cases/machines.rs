//! Byte orders, architectures, page sizes.

use ckx_criu::json::{encode, encode_as};
use ckx_criu::pages::{PageMap, PagePlace, page_size_of};
use ckx_criu::typed::messages::{CoreEntry, MmEntry};
use ckx_criu::{ByteOrder, ImageKind};
use ckx_testkit::{Arch, ImageBuilder, Msg, Order, presets};
use serde_json::json;

use crate::{json, parse, walk};

#[test]
fn big_endian_images_are_told_by_their_first_word() {
    let record = Msg::new().uint(1, 8).uint(2, 9).uint(3, 18);
    let data = ImageBuilder::of("FS").order(Order::Big).record(record.clone()).build();
    assert_eq!(data[..12], *b"\x54\x56\x43\x19\x51\x40\x39\x12\0\0\0\x06");
    let image = parse("fs-1.img", &data);
    assert_eq!((image.kind(), image.identity().order), (ImageKind::Fs, ByteOrder::Big));
    assert_eq!(json(image)["@byte_order"], "big");
    // JSON of crit does not say it.
    let plain = br#"{"magic": "FS", "entries": [{"cwd_id": 8, "root_id": 9, "umask": 18}]}"#;
    assert_eq!(encode_as(plain, Some(ByteOrder::Big)).unwrap(), data);
    assert_eq!(encode(plain).unwrap(), ImageBuilder::of("FS").record(record).build());
    let inventory = ImageBuilder::of("INVENTORY").order(Order::Big).record(Msg::new().uint(1, 2)).build();
    assert_eq!(inventory[..4], *b"\x58\x31\x31\x16");
    assert_eq!(parse("inventory.img", &inventory).identity().order, ByteOrder::Big);
}

#[test]
fn payloads_and_addresses_follow_the_host() {
    for order in [Order::Little, Order::Big] {
        let sems = ImageBuilder::of("IPCNS_SEM")
            .order(order)
            .record(Msg::new().msg(1, Msg::new()).uint(2, 3))
            .halves(&[1, 22, 333]);
        let data = sems.build();
        assert_eq!(json(parse("ipcns-sem-1.img", &data))["entries"][0]["extra"], json!([1, 22, 333]));
        // Network-order bytes, loaded as a word of the host.
        let address = u32::from_be_bytes([127, 0, 0, 1]);
        let loaded = match order {
            Order::Little => address.swap_bytes(),
            Order::Big => address,
        };
        let socket = Msg::new().uint(1, 1).uint(11, loaded.into());
        let data = ImageBuilder::of("INETSK").order(order).record(socket).build();
        let mut text = Vec::new();
        let options = ckx_criu::json::JsonOptions { pretty: true, ..Default::default() };
        let document = ckx_criu::json::ImageJson::new(parse("inetsk.img", &data), options);
        ckx_criu::json::to_writer(&mut text, &document, ckx_criu::json::Style::Line).unwrap();
        assert!(String::from_utf8(text).unwrap().contains(r#""src_addr": ["127.0.0.1"]"#));
    }
}

#[test]
fn registers_of_every_architecture_are_decoded_by_the_image() {
    for arch in Arch::ALL {
        let checkpoint = presets::web(arch).build();
        let name =
            checkpoint.names().into_iter().find(|name| name.starts_with("core-")).expect("a core").to_owned();
        let data = checkpoint.get(&name).expect("there");
        let image = parse(&name, data);
        assert_eq!(walk(image), (1, None));
        let core: CoreEntry = image.entries().next().unwrap().unwrap().decode().unwrap();
        let parts = [
            core.thread_info.is_some(),
            core.ti_arm.is_some(),
            core.ti_aarch64.is_some(),
            core.ti_ppc64.is_some(),
            core.ti_s390.is_some(),
            core.ti_mips.is_some(),
            core.ti_loongarch64.is_some(),
            core.ti_riscv64.is_some(),
        ];
        assert_eq!(parts.iter().filter(|part| **part).count(), 1, "{arch:?}");
        // The numbers of the machines are in the order of the list, from 1 on.
        assert!(parts[core.mtype as usize - 1], "{arch:?}");
        json(image);
    }
}

#[test]
fn mips_masks_of_signals_above_64() {
    let action = Msg::new().uint(1, 0x40_0000).uint(2, 4).uint(3, 0).uint(4, 1).uint(6, 1 << 7);
    let data = ImageBuilder::of("SIGACT").record(action).build();
    assert_eq!(json(parse("sigacts-1.img", &data))["entries"][0]["mask_extended"], 128);
}

#[test]
fn sixteen_kib_pages_are_read_as_such() {
    for checkpoint in [presets::aarch64_16k(), presets::loongarch()] {
        let files = checkpoint.build();
        let name = files.names().into_iter().find(|name| name.starts_with("mm-")).expect("an mm").to_owned();
        let mm: MmEntry =
            parse(&name, files.get(&name).unwrap()).entries().next().unwrap().unwrap().decode().unwrap();
        let page_size = page_size_of(&mm.mm_saved_auxv).expect("AT_PAGESZ");
        assert_eq!(page_size, 16384);
        let pid = name.trim_start_matches("mm-");
        let pagemap = format!("pagemap-{pid}");
        let map = PageMap::parse(parse(&pagemap, files.get(&pagemap).unwrap()), page_size).unwrap();
        let pages = files.get(&format!("pages-{}.img", map.pages_id().unwrap())).expect("pages");
        assert_eq!(map.totals().file_bytes, pages.len() as u64);
        let run = map.runs().find(|run| run.entry.flags & 4 != 0).expect("a run");
        assert!(matches!(map.find(run.entry.vaddr), Ok(PagePlace::Present { .. })));
    }
}

#[test]
fn a_32_bit_process_on_a_64_bit_host() {
    let files = presets::compat().build();
    let name = files.names().into_iter().find(|name| name.starts_with("mm-")).expect("an mm").to_owned();
    let mm: MmEntry =
        parse(&name, files.get(&name).unwrap()).entries().next().unwrap().unwrap().decode().unwrap();
    assert_eq!(page_size_of(&mm.mm_saved_auxv), Some(4096));
}
